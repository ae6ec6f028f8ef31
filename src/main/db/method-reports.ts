/** Table `method_reports`: reports that hold methods against each other, with what is measured so far, so that a broken-off one goes on. */
import type { MethodReport, ReportEntry, ReportSettings, ReportStatus } from '../../shared/method-report.ts';
import { isAlive } from '../process-identity.ts';
import type { Database } from './database.ts';

export type MethodReportRow = Omit<MethodReport, 'judge' | 'doing'> & { owner: string | null };

const COLUMNS = 'id, name, status, owner, settings, entries, error, created_at as createdAt, finished_at as finishedAt';
type Stored = Omit<MethodReportRow, 'settings' | 'entries'> & { settings: string; entries: string };
const parse = (row: Stored): MethodReportRow => ({ ...row, settings: JSON.parse(row.settings) as ReportSettings, entries: JSON.parse(row.entries) as ReportEntry[] });

/** Newest first. */
export function listMethodReports(db: Database): MethodReportRow[] {
  return (db.prepare(`select ${COLUMNS} from method_reports order by id desc`).all() as Stored[]).map(parse);
}

export function getMethodReport(db: Database, id: number): MethodReportRow | undefined {
  const row = db.prepare(`select ${COLUMNS} from method_reports where id = ?`).get(id) as Stored | undefined;
  return row && parse(row);
}

export function insertMethodReport(db: Database, { settings, entries, owner }: Pick<MethodReportRow, 'settings' | 'entries' | 'owner'>): number {
  const sql = `insert into method_reports (name, status, owner, settings, entries, created_at) values (?, 'running', ?, ?, ?, ?)`;
  return Number(db.prepare(sql).run(settings.name, owner, JSON.stringify(settings), JSON.stringify(entries), new Date().toISOString()).lastInsertRowid);
}

export function updateEntries(db: Database, id: number, entries: ReportEntry[]): void {
  db.prepare('update method_reports set entries = ? where id = ?').run(JSON.stringify(entries), id);
}

/** Nobody works on it any more. */
export function endMethodReport(db: Database, id: number, status: Exclude<ReportStatus, 'running'>, error: string | null): void {
  const finishedAt = status === 'done' ? new Date().toISOString() : null;
  db.prepare('update method_reports set status = ?, owner = null, error = ?, finished_at = ? where id = ?').run(status, error, finishedAt, id);
}

/** Takes a report that nobody works on. False when it is done, or another process was first. */
export function claimMethodReport(db: Database, id: number, owner: string): boolean {
  const sql = `update method_reports set status = 'running', owner = ?, error = null where id = ? and status in ('stopped', 'failed', 'interrupted')`;
  return db.prepare(sql).run(owner, id).changes === 1;
}

export function deleteMethodReport(db: Database, id: number): void {
  db.prepare('delete from method_reports where id = ?').run(id);
}

/** Of those whose process is gone. */
export function interruptDeadReports(db: Database): void {
  for (const { id, status, owner } of listMethodReports(db)) if (status === 'running' && !(owner && isAlive(owner))) endMethodReport(db, id, 'interrupted', null);
}
