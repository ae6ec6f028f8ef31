/** Tables `datasets` and `dataset_files`: a dataset is a name and at most one file per split. Rows themselves are in `examples`. */
import type { Split } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

export type DatasetRow = { id: number; name: string; /** Commands of the editor that stand, tags left aside. */ edits: number; createdAt: string };
export type DatasetFileRow = {
  id: number;
  datasetId: number;
  /** '' where the split was made in the editor. */
  file: string;
  format: string;
  split: Split;
  status: 'importing' | 'ready';
  owner: string;
  /** Not deleted. */
  rows: number;
  skipped: number;
  warnings: number;
  sha256: string | null;
  createdAt: string;
};

const COLUMNS = 'id, name, edits, created_at as createdAt';
const FILE_COLUMNS = `id, dataset_id as datasetId, file, format, split, status, owner, skipped, warnings, sha256, created_at as createdAt,
  (select coalesce(sum(rows), 0) from row_counts where file_id = dataset_files.id) as rows`;

/** Datasets with at least one whole file. */
export function listDatasets(db: Database): DatasetRow[] {
  return db
    .prepare(
      `select ${COLUMNS} from datasets d
       where exists (select 1 from dataset_files f where f.dataset_id = d.id and f.status = 'ready') order by name`,
    )
    .all() as DatasetRow[];
}

export function getDatasetByName(db: Database, name: string): DatasetRow | undefined {
  return db.prepare(`select ${COLUMNS} from datasets where name = ?`).get(name) as DatasetRow | undefined;
}

export function insertDataset(db: Database, name: string): number {
  const sql = 'insert into datasets (name, created_at) values (?, ?)';
  return Number(db.prepare(sql).run(name, new Date().toISOString()).lastInsertRowid);
}

export function renameDataset(db: Database, id: number, name: string): void {
  db.prepare('update datasets set name = ? where id = ?').run(name, id);
}

export function countEdit(db: Database, id: number, change: 1 | -1): void {
  db.prepare('update datasets set edits = edits + ? where id = ?').run(change, id);
}

/** With all its files and rows. */
export function deleteDataset(db: Database, id: number): void {
  db.prepare('delete from datasets where id = ?').run(id);
}

/** Datasets that no file, whole or being imported, belongs to. */
export function deleteEmptyDatasets(db: Database): void {
  db.prepare('delete from datasets where not exists (select 1 from dataset_files f where f.dataset_id = datasets.id)').run();
}

export function listDatasetFiles(db: Database, datasetId: number): DatasetFileRow[] {
  const sql = `select ${FILE_COLUMNS} from dataset_files where dataset_id = ? and status = 'ready' order by split = 'test', split = 'validation'`;
  return db.prepare(sql).all(datasetId) as DatasetFileRow[];
}

/** Whole or being imported. */
export function getDatasetFile(db: Database, datasetId: number, split: Split): DatasetFileRow | undefined {
  const sql = `select ${FILE_COLUMNS} from dataset_files where dataset_id = ? and split = ?`;
  return db.prepare(sql).get(datasetId, split) as DatasetFileRow | undefined;
}

export function insertDatasetFile(db: Database, file: Pick<DatasetFileRow, 'datasetId' | 'file' | 'format' | 'split' | 'owner'>): number {
  const sql = `insert into dataset_files (dataset_id, file, format, split, status, owner, created_at)
               values (@datasetId, @file, @format, @split, 'importing', @owner, @createdAt)`;
  return Number(db.prepare(sql).run({ ...file, createdAt: new Date().toISOString() }).lastInsertRowid);
}

/** From here on its rows count. */
export function finishDatasetFile(db: Database, id: number, totals: Pick<DatasetFileRow, 'skipped' | 'warnings' | 'sha256'>): void {
  const sql = `update dataset_files set status = 'ready', skipped = @skipped, warnings = @warnings, sha256 = @sha256 where id = @id`;
  db.prepare(sql).run({ ...totals, id });
}

/** The dataset's file of a split, made where there is none: rows of the editor have to be somewhere. */
export function ensureDatasetFile(db: Database, datasetId: number, split: Split, owner: string): DatasetFileRow {
  const file = getDatasetFile(db, datasetId, split);
  if (file) return file;
  const format = db.prepare('select format from dataset_files where dataset_id = ? order by id limit 1').pluck().get(datasetId) as string;
  finishDatasetFile(db, insertDatasetFile(db, { datasetId, file: '', format, split, owner }), { skipped: 0, warnings: 0, sha256: null });
  return getDatasetFile(db, datasetId, split)!;
}

/** Takes a dataset out of sight at once; its rows go later, or when the library is opened after this process has ended. */
export function hideDataset(db: Database, id: number, owner: string): void {
  db.prepare('update datasets set name = ? where id = ?').run(`\u0001removed ${id}`, id);
  db.prepare(`update dataset_files set status = 'importing', owner = ? where dataset_id = ?`).run(owner, id);
}

/** Ids of all its files, whole or not. */
export function listFileIds(db: Database, datasetId: number): number[] {
  return db.prepare('select id from dataset_files where dataset_id = ?').pluck().all(datasetId) as number[];
}

export function listImportingFiles(db: Database): DatasetFileRow[] {
  return db.prepare(`select ${FILE_COLUMNS} from dataset_files where status = 'importing'`).all() as DatasetFileRow[];
}

export function deleteDatasetFile(db: Database, id: number): void {
  db.prepare('delete from dataset_files where id = ?').run(id);
}
