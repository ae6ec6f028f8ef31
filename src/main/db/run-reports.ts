/** Table `run_reports`: what an evaluation of a run found beside its numbers, as it was at a step. */
import type { RunReport } from '../../shared/reports.ts';
import type { Database } from './database.ts';

/** Told again for a step, it replaces what was there. */
export function insertReport(db: Database, runId: number, step: number, report: RunReport): void {
  db.prepare('insert or replace into run_reports (run_id, step, body) values (?, ?, ?)').run(runId, step, JSON.stringify(report));
}

export function getLastReport(db: Database, runId: number): { step: number; report: RunReport } | null {
  const row = db.prepare('select step, body from run_reports where run_id = ? order by step desc limit 1').get(runId) as { step: number; body: string } | undefined;
  return row ? { step: row.step, report: JSON.parse(row.body) as RunReport } : null;
}

export function deleteReportsAfter(db: Database, runId: number, step: number): void {
  db.prepare('delete from run_reports where run_id = ? and step > ?').run(runId, step);
}
