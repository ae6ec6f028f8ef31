/** A run's metrics as columns, read in slices short enough that nothing else has to wait. */
import { setImmediate } from 'node:timers/promises';
import type { Curves } from '../../shared/api/runs.ts';
import { listMetricsAfter, type StoredPoint } from '../db/metrics.ts';
import type { Library } from '../library.ts';

/** Points read and sent at once: some milliseconds. */
const SLICE = 1000;

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

export async function readAllCurves(library: Library, runId: number): Promise<Curves> {
  const all = toColumns([]);
  for await (const slice of readCurves(library, runId)) append(all, slice);
  return all;
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

function append(all: Curves, { steps, tokens, seconds, values }: Curves): void {
  const [before, added] = [all.steps.length, steps.length];
  all.steps.push(...steps);
  all.tokens.push(...tokens);
  all.seconds.push(...seconds);
  const nothing = (count: number) => new Array<number | null>(count).fill(null);
  for (const name in values) all.values[name] ??= nothing(before);
  for (const name in all.values) all.values[name].push(...(values[name] ?? nothing(added)));
}
