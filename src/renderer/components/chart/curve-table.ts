/**
 * The curves of one run as growable columns of numbers, one row a logged step, NaN where a metric was not logged. New points are appended
 * in place, so a run of 100,000 steps is never copied while it is watched, and the smoothed copies grow with it. Deliberately not reactive:
 * whoever draws counts versions. A column may be longer than `length` and is replaced when it grows: read it anew for every drawing.
 */
import type { Curves } from '../../../shared/api/runs.ts';
import { Smoothing } from './smoothing.ts';

export type XAxis = 'step' | 'tokens' | 'time';
/** x ascending, y with NaN where there is nothing; only the first `length` of either count. */
export type Points = { x: Float64Array; y: Float64Array; length: number };

const FIRST_CAPACITY = 256;

export class CurveTable {
  length = 0;
  #capacity = FIRST_CAPACITY;
  #x: Record<XAxis, Float64Array> = {
    step: new Float64Array(FIRST_CAPACITY),
    tokens: new Float64Array(FIRST_CAPACITY),
    time: new Float64Array(FIRST_CAPACITY),
  };
  #values = new Map<string, Float64Array>();
  #smoothed = new Map<string, Smoothing>();

  /** Names of all metrics, as they first came. */
  get metrics(): string[] {
    return [...this.#values.keys()];
  }

  clear(): void {
    this.length = 0;
    this.#values.clear();
    this.#smoothed.clear();
  }

  /** Steps at or before the last one replace what stood there: a run that went back to a checkpoint writes them again. */
  append(curves: Curves): void {
    const count = curves.steps.length;
    if (count === 0) return;
    if (this.length > 0 && curves.steps[0] <= this.#x.step[this.length - 1]) {
      this.length = lowerBound(this.#x.step, this.length, curves.steps[0]);
      this.#smoothed.clear();
    }
    this.#reserve(this.length + count);
    const { step, tokens, time } = this.#x;
    for (let i = 0; i < count; i++) {
      const row = this.length + i;
      step[row] = curves.steps[i];
      // what is not known stays where it was; no axis ever goes back
      tokens[row] = Math.max(row > 0 ? tokens[row - 1] : 0, curves.tokens[i] ?? 0);
      time[row] = Math.max(row > 0 ? time[row - 1] : 0, curves.seconds[i] ?? 0);
    }
    for (const name of Object.keys(curves.values)) {
      if (!this.#values.has(name)) this.#values.set(name, new Float64Array(this.#capacity).fill(NaN));
    }
    for (const [name, column] of this.#values) {
      const values = curves.values[name];
      for (let i = 0; i < count; i++) column[this.length + i] = values?.[i] ?? NaN;
    }
    this.length += count;
  }

  x(axis: XAxis): Float64Array {
    return this.#x[axis];
  }

  points(metric: string, axis: XAxis): Points {
    return { x: this.#x[axis], y: this.#values.get(metric) ?? new Float64Array(this.#capacity).fill(NaN), length: this.length };
  }

  /** The same after TensorBoard's moving average; 0 < weight < 1. */
  smoothed(metric: string, axis: XAxis, weight: number): Points {
    let smoothing = this.#smoothed.get(metric);
    if (smoothing?.weight !== weight) {
      smoothing = new Smoothing(weight);
      this.#smoothed.set(metric, smoothing);
    }
    const { x, y, length } = this.points(metric, axis);
    return { x, y: smoothing.extend(y, length), length };
  }

  #reserve(length: number): void {
    if (length <= this.#capacity) return;
    this.#capacity = Math.max(length, 2 * this.#capacity);
    const grow = (column: Float64Array): Float64Array => {
      const larger = new Float64Array(this.#capacity).fill(NaN);
      larger.set(column);
      return larger;
    };
    this.#x = { step: grow(this.#x.step), tokens: grow(this.#x.tokens), time: grow(this.#x.time) };
    for (const [name, column] of this.#values) this.#values.set(name, grow(column));
  }
}

/** The first of the ascending `length` values that is not below `at`; `length` when all are. */
export function lowerBound(values: Float64Array, length: number, at: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The row with a value that lies nearest to `at` on x; -1 when there is none. */
export function nearestRow({ x, y, length }: Points, at: number): number {
  const start = lowerBound(x, length, at);
  let after = start;
  while (after < length && Number.isNaN(y[after])) after++;
  let before = start - 1;
  while (before >= 0 && Number.isNaN(y[before])) before--;
  if (after >= length) return before;
  if (before < 0) return after;
  return at - x[before] <= x[after] - at ? before : after;
}

/** First, last, lowest and highest row with a value; null when there is none. */
export function extremes({ y, length }: Points): { first: number; last: number; lowest: number; highest: number; count: number } | null {
  let first = -1;
  let last = -1;
  let lowest = -1;
  let highest = -1;
  let count = 0;
  for (let i = 0; i < length; i++) {
    const value = y[i];
    if (Number.isNaN(value)) continue;
    if (first < 0) first = lowest = highest = i;
    last = i;
    if (value < y[lowest]) lowest = i;
    if (value > y[highest]) highest = i;
    count++;
  }
  return first < 0 ? null : { first, last, lowest, highest, count };
}
