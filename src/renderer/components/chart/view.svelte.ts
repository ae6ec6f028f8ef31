/** What several charts share: the range of x in view and the cursor, so that they zoom, pan and read out together. */

import { lowerBound } from './curve-table.ts';

export type Range = [from: number, to: number];

export class ChartView {
  /** Of all there is. */
  extent = $state.raw<Range>([0, 1]);
  /** null: all of it, growing as points come. */
  zoom = $state.raw<Range | null>(null);
  /** x under the pointer or the keyboard's cursor. */
  cursor = $state.raw<number | null>(null);

  /** Where the cursor may rest, ascending: the logged points of the run on screen. Read anew every time. */
  stops: () => { x: Float64Array; length: number } = () => ({ x: new Float64Array(0), length: 0 });

  get range(): Range {
    return this.zoom ?? this.extent;
  }

  /** Shows a range, kept within what there is; all of it when it covers that. */
  show(from: number, to: number): void {
    const [first, last] = this.extent;
    const width = Math.min(to - from, last - first);
    if (!(width > 0)) return;
    const start = Math.min(Math.max(from, first), last - width);
    this.zoom = width >= last - first ? null : [start, start + width];
  }

  /** `factor` < 1 looks closer, at the place `at`. */
  scale(factor: number, at: number): void {
    const [from, to] = this.range;
    this.show(at - (at - from) * factor, at + (to - at) * factor);
  }

  /** By a share of what is in view. */
  pan(share: number): void {
    const [from, to] = this.range;
    this.show(from + share * (to - from), to + share * (to - from));
  }

  reset(): void {
    this.zoom = null;
  }

  /** Puts the cursor on the stop nearest to x. */
  point(x: number): void {
    const { x: stops, length } = this.stops();
    if (length === 0) return;
    const after = Math.min(length - 1, lowerBound(stops, length, x));
    const before = Math.max(0, after - 1);
    this.cursor = x - stops[before] < stops[after] - x ? stops[before] : stops[after];
  }

  /** Moves the cursor by so many stops, and what is in view along with it; from the end when there is none yet. */
  move(by: number): void {
    const { x: stops, length } = this.stops();
    if (length === 0) return;
    const from = this.cursor === null ? (by < 0 ? length : -1) : lowerBound(stops, length, this.cursor);
    const x = stops[Math.min(length - 1, Math.max(0, from + by))];
    this.cursor = x;
    const [first, last] = this.range;
    if (x < first || x > last) this.show(x - (last - first) / 2, x + (last - first) / 2);
  }
}
