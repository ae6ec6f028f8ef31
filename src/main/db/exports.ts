/** Table `exports`: what was written for other programs, and how its parity check came out. The files themselves may be gone since. */
import type { Parity } from '../../shared/api/exports.ts';
import type { Template } from '../../shared/dataset.ts';
import type { About } from '../../shared/export-about.ts';
import type { ExportJob, ModelPath } from '../../shared/job.ts';
import type { ExportResult } from '../../shared/job-results.ts';
import type { Database } from './database.ts';

export type ExportRow = {
  id: number;
  model: string;
  /** `notes`: what others do otherwise with it; `about`: what it says of itself. Absent in older rows. */
  source: { path: ModelPath; template: Template; notes?: string[]; about?: About };
  format: ExportJob['format'];
  dtype: ExportJob['dtype'];
  folder: string;
  path: string;
  files: ExportResult['files'];
  parity: Parity | null;
  parityError: string | null;
  at: string;
};

const COLUMNS = 'id, model, source, format, dtype, folder, path, files, parity, parity_error as parityError, at';
type Stored = Omit<ExportRow, 'source' | 'files' | 'parity'> & { source: string; files: string; parity: string | null };
const parse = (row: Stored): ExportRow => ({
  ...row,
  source: JSON.parse(row.source) as ExportRow['source'],
  files: JSON.parse(row.files) as ExportRow['files'],
  parity: row.parity === null ? null : (JSON.parse(row.parity) as Parity),
});

/** Newest first. */
export function listExports(db: Database): ExportRow[] {
  return (db.prepare(`select ${COLUMNS} from exports order by id desc`).all() as Stored[]).map(parse);
}

export function getExport(db: Database, id: number): ExportRow | undefined {
  const row = db.prepare(`select ${COLUMNS} from exports where id = ?`).get(id) as Stored | undefined;
  return row && parse(row);
}

/** In place of an older one that was written to the same path. */
export function insertExport(db: Database, { source, files, ...row }: Omit<ExportRow, 'id' | 'parity' | 'parityError'>): number {
  const insert = db.transaction(() => {
    db.prepare('delete from exports where path = ?').run(row.path);
    const sql = `insert into exports (model, source, format, dtype, folder, path, files, at) values (@model, @source, @format, @dtype, @folder, @path, @files, @at)`;
    return Number(db.prepare(sql).run({ ...row, source: JSON.stringify(source), files: JSON.stringify(files) }).lastInsertRowid);
  });
  return insert.immediate();
}

/** How the check came out; both null while it has not. */
export function setParity(db: Database, id: number, parity: Parity | null, error: string | null): void {
  db.prepare('update exports set parity = ?, parity_error = ? where id = ?').run(parity && JSON.stringify(parity), error, id);
}

export function deleteExport(db: Database, id: number): void {
  db.prepare('delete from exports where id = ?').run(id);
}
