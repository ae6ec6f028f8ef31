/**
 * A curve cut down to what its pixels can show: of every column of pixels the lowest and the highest point, in their order, so that no
 * spike is lost and 100,000 points are drawn as fast as 1,000. Curves with few points in view are given whole. Points, not averages: every
 * one was really logged.
 */
import { lowerBound, type Points } from './curve-table.ts';

export type Line = { x: number[]; y: number[] };

/**
 * Of the points in [from, to], with the one before and the one after so that lines reach the edges. `columns`: of pixels over that range.
 */
export function decimate({ x, y, length }: Points, from: number, to: number, columns: number): Line {
  let start = lowerBound(x, length, from) - 1;
  while (start >= 0 && Number.isNaN(y[start])) start--;
  start = Math.max(0, start);
  let end = lowerBound(x, length, to);
  while (end < length && (x[end] <= to || Number.isNaN(y[end]))) end++;
  end = Math.min(length, end + 1);

  const line: Line = { x: [], y: [] };
  const push = (i: number): void => {
    line.x.push(x[i]);
    line.y.push(y[i]);
  };
  if (end - start <= 2 * columns) {
    for (let i = start; i < end; i++) if (!Number.isNaN(y[i])) push(i);
    return line;
  }
  const scale = columns / (to - from);
  let low = -1;
  let high = -1;
  let lowest = 0;
  let highest = 0;
  /** x where the next column begins */
  let edge = -Infinity;
  const close = (): void => {
    if (low < 0) return;
    push(Math.min(low, high));
    if (low !== high) push(Math.max(low, high));
  };
  for (let i = start; i < end; i++) {
    const value = y[i];
    if (x[i] >= edge) {
      if (Number.isNaN(value)) continue;
      close();
      edge = from + (Math.floor((x[i] - from) * scale) + 1) / scale;
      low = high = i;
      lowest = highest = value;
    } else if (value < lowest) {
      low = i;
      lowest = value;
    } else if (value > highest) {
      high = i;
      highest = value;
    }
  }
  close();
  return line;
}

/** Lines on one common x, ascending, as uPlot wants them: null where a line has no point. */
export function align(lines: Line[]): [number[], ...(number | null)[][]] {
  const xs: number[] = [];
  const columns: (number | null)[][] = lines.map(() => []);
  const at = lines.map(() => 0);
  for (;;) {
    let next = Infinity;
    for (const [k, { x }] of lines.entries()) if (at[k] < x.length && x[at[k]] < next) next = x[at[k]];
    if (next === Infinity) return [xs, ...columns];
    xs.push(next);
    for (const [k, { x, y }] of lines.entries()) columns[k].push(at[k] < x.length && x[at[k]] === next ? y[at[k]++] : null);
  }
}
