/** Table `metrics`: one logged step of a run a row, its values (TRL's names) as JSON. A resumed run repeats steps: the later row stands. */
import type { MetricPoint } from '../../shared/metrics.ts';
import type { Database } from './database.ts';

/** `seconds`: of training so far, pauses left out; null where it was not measured. Values are null for what JSON has no number for (NaN). */
export type StoredPoint = { step: number; seconds: number | null; values: Record<string, number | null> };

export function insertMetrics(db: Database, runId: number, points: (MetricPoint & { seconds: number | null })[]): void {
  const insert = db.prepare('insert or replace into metrics (run_id, step, seconds, body) values (?, ?, ?, ?)');
  db.transaction(() => {
    for (const { step, seconds, values } of points) insert.run(runId, step, seconds, JSON.stringify(values)); // JSON has no NaN: null stands for it
  }).immediate();
}

/** In order of steps. For whole runs of many steps see listMetricsAfter. */
export function listMetrics(db: Database, runId: number): MetricPoint[] {
  const points = listMetricsAfter(db, runId, -1, Number.MAX_SAFE_INTEGER);
  return points.map(({ step, values }) => ({ step, values: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? NaN])) }));
}

/** One slice in order of steps; `after` is the last step of the slice before, −1 for the first. */
export function listMetricsAfter(db: Database, runId: number, after: number, limit: number): StoredPoint[] {
  const sql = 'select step, seconds, body from metrics where run_id = ? and step > ? order by step limit ?';
  const rows = db.prepare(sql).all(runId, after, limit) as { step: number; seconds: number | null; body: string }[];
  return rows.map(({ step, seconds, body }) => ({ step, seconds, values: JSON.parse(body) as StoredPoint['values'] }));
}

export function countMetrics(db: Database, runId: number): number {
  return db.prepare('select count(*) from metrics where run_id = ?').pluck().get(runId) as number;
}

/** What a run that goes on from `step` will do again. At most `limit` rows; returns how many. */
export function deleteMetricsAfter(db: Database, runId: number, step: number, limit = -1): number {
  const sql = 'delete from metrics where run_id = @runId and step in (select step from metrics where run_id = @runId and step > @step limit @limit)';
  return db.prepare(sql).run({ runId, step, limit }).changes;
}
