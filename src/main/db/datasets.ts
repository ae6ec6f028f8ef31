/** Tables `datasets` and `dataset_files`: a dataset is a name and at most one file per split. Rows themselves are in examples and preference_pairs. */
import type { Split } from '../../shared/dataset.ts';
import type { Database } from './database.ts';

export type DatasetRow = { id: number; name: string; createdAt: string };
export type DatasetFileRow = {
  id: number;
  datasetId: number;
  file: string;
  format: string;
  split: Split;
  status: 'importing' | 'ready';
  owner: string;
  rows: number;
  skipped: number;
  warnings: number;
  sha256: string | null;
  createdAt: string;
};

const FILE_COLUMNS =
  'id, dataset_id as datasetId, file, format, split, status, owner, rows, skipped, warnings, sha256, created_at as createdAt';

/** Datasets with at least one whole file. */
export function listDatasets(db: Database): DatasetRow[] {
  return db
    .prepare(
      `select id, name, created_at as createdAt from datasets d
       where exists (select 1 from dataset_files f where f.dataset_id = d.id and f.status = 'ready') order by name`,
    )
    .all() as DatasetRow[];
}

export function getDatasetByName(db: Database, name: string): DatasetRow | undefined {
  return db.prepare('select id, name, created_at as createdAt from datasets where name = ?').get(name) as DatasetRow | undefined;
}

export function insertDataset(db: Database, name: string): number {
  const sql = 'insert into datasets (name, created_at) values (?, ?)';
  return Number(db.prepare(sql).run(name, new Date().toISOString()).lastInsertRowid);
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
  const sql = `select ${FILE_COLUMNS} from dataset_files where dataset_id = ? and status = 'ready' order by id`;
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
export function finishDatasetFile(db: Database, id: number, totals: Pick<DatasetFileRow, 'rows' | 'skipped' | 'warnings' | 'sha256'>): void {
  const sql = `update dataset_files set status = 'ready', rows = @rows, skipped = @skipped, warnings = @warnings, sha256 = @sha256 where id = @id`;
  db.prepare(sql).run({ ...totals, id });
}

export function listImportingFiles(db: Database): DatasetFileRow[] {
  return db.prepare(`select ${FILE_COLUMNS} from dataset_files where status = 'importing'`).all() as DatasetFileRow[];
}

export function deleteDatasetFile(db: Database, id: number): void {
  db.prepare('delete from dataset_files where id = ?').run(id);
}
