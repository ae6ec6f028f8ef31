/** Table `sampling_reports`: best of N and consistency, each with what was asked and what was found. */
import type { SamplingReport, SamplingReportBody } from '../../shared/api/sampling-reports.ts';
import type { Database } from './database.ts';

export function insertSamplingReport(db: Database, model: string, { kind, ...body }: SamplingReportBody): number {
  const sql = 'insert into sampling_reports (kind, model, body, created_at) values (?, ?, ?, ?)';
  return Number(db.prepare(sql).run(kind, model, JSON.stringify(body), new Date().toISOString()).lastInsertRowid);
}

const COLUMNS = 'id, kind, model, body, created_at as createdAt';
type Row = { id: number; kind: SamplingReport['kind']; model: string; body: string; createdAt: string };
const toReport = ({ body, ...row }: Row): SamplingReport => ({ ...row, ...(JSON.parse(body) as object) }) as SamplingReport;

export function getSamplingReport(db: Database, id: number): SamplingReport | undefined {
  const row = db.prepare(`select ${COLUMNS} from sampling_reports where id = ?`).get(id) as Row | undefined;
  return row && toReport(row);
}

/** Newest first. */
export function listSamplingReports(db: Database, count: number): SamplingReport[] {
  return (db.prepare(`select ${COLUMNS} from sampling_reports order by id desc limit ?`).all(count) as Row[]).map(toReport);
}

export function deleteSamplingReport(db: Database, id: number): void {
  db.prepare('delete from sampling_reports where id = ?').run(id);
}
