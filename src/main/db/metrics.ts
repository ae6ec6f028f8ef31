/** Table `metrics`: one number a row, by run, step and TRL's metric name. A resumed run repeats steps: the later value stands. */
import type { MetricPoint } from '../../shared/metrics.ts';
import type { Database } from './database.ts';

export function insertMetrics(db: Database, runId: number, { step, values }: MetricPoint): void {
  const insert = db.prepare('insert or replace into metrics (run_id, step, name, value) values (?, ?, ?, ?)');
  // SQLite has no NaN: null stands for it
  const all = db.transaction(() => {
    for (const [name, value] of Object.entries(values)) insert.run(runId, step, name, Number.isNaN(value) ? null : value);
  });
  all.immediate();
}

/** In order of steps. */
export function listMetrics(db: Database, runId: number): MetricPoint[] {
  const rows = db.prepare('select step, name, value from metrics where run_id = ? order by step, name').all(runId) as {
    step: number;
    name: string;
    value: number | null;
  }[];
  const points: MetricPoint[] = [];
  for (const { step, name, value } of rows) {
    if (points.at(-1)?.step !== step) points.push({ step, values: {} });
    points.at(-1)!.values[name] = value ?? NaN;
  }
  return points;
}
