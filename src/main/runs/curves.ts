/** A run's metrics as columns, read in slices short enough that nothing else has to wait. */
import { setImmediate } from 'node:timers/promises';
import type { Curves } from '../../shared/api/runs.ts';
import { countMetrics, listMetricsAfter, type StoredPoint } from '../db/metrics.ts';
import type { Library } from '../library.ts';

/** Points read and sent at once: some milliseconds. */
const SLICE = 1000;
/** Points sent in one answer at most, evaluations aside. */
const WHOLE = 10_000;

/** Points after the step `after`, a slice at a time; the first slice comes even when there is none. */
export async function* readCurves({ db }: Library, runId: number, after = -1): AsyncGenerator<Curves, void, void> {
  for (let first = true; ; first = false) {
    if (!first) await setImmediate();
    const points = listMetricsAfter(db, runId, after, SLICE);
    if (first || points.length > 0) yield toColumns(points);
    if (points.length < SLICE) return;
    after = points.at(-1)!.step;
  }
}

/** In one piece, for overlays: of more than WHOLE points every n-th, and all with an evaluation. */
export async function readWholeCurves({ db }: Library, runId: number): Promise<Curves> {
  const every = Math.ceil(countMetrics(db, runId) / WHOLE);
  const kept: StoredPoint[] = [];
  for (let after = -1, index = 0; ;) {
    const points = listMetricsAfter(db, runId, after, SLICE);
    for (const point of points) if (index++ % every === 0 || 'eval_loss' in point.values) kept.push(point);
    if (points.length < SLICE) return toColumns(kept);
    after = points.at(-1)!.step;
    await setImmediate();
  }
}

function toColumns(points: StoredPoint[]): Curves {
  const curves: Curves = { steps: [], tokens: [], seconds: [], values: {} };
  for (const [i, { step, seconds, values }] of points.entries()) {
    const { num_tokens: tokens = null, ...others } = values;
    curves.steps.push(step);
    curves.tokens.push(tokens);
    curves.seconds.push(seconds);
    for (const name in others) (curves.values[name] ??= new Array<number | null>(points.length).fill(null))[i] = others[name];
  }
  return curves;
}
