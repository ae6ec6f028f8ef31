import { describe, expect, test } from 'vitest';
import { align, decimate } from './decimate.ts';

const points = (y: number[], x = y.map((_, i) => i)) => ({ x: Float64Array.from(x), y: Float64Array.from(y), length: y.length });

describe('decimate', () => {
  test('gives a curve with few points whole, without its gaps', () => {
    expect(decimate(points([1, NaN, 3, 4]), 0, 3, 100)).toEqual({ x: [0, 2, 3], y: [1, 3, 4] });
  });

  test('keeps the lowest and the highest point of every column, in their order', () => {
    // 12 points over [0, 12) in 2 columns: 0–5 and 6–11; the range ends at 12, so point 11 is the last
    const y = [5, 9, 1, 5, 5, 5, 7, 7, 2, 7, 8, 7];
    expect(decimate(points(y), 0, 12, 2)).toEqual({ x: [1, 2, 8, 10], y: [9, 1, 2, 8] });
  });

  test('no spike is lost, wherever it stands', () => {
    const y = Array.from({ length: 100_000 }, () => 1);
    for (const spike of [0, 1, 33_333, 77_777, 99_999]) {
      const spiked = [...y];
      spiked[spike] = 100;
      const line = decimate(points(spiked), 0, 99_999, 800);
      expect(Math.max(...line.y)).toBe(100);
      expect(line.x[line.y.indexOf(100)]).toBe(spike);
      expect(line.x.length).toBeLessThanOrEqual(2 * 802);
    }
  });

  test('reaches over both edges of the range, past gaps', () => {
    expect(decimate(points([1, 2, NaN, 4, 5, NaN, 7, 8]), 2.5, 4.5, 100)).toEqual({ x: [1, 3, 4, 6], y: [2, 4, 5, 7] });
  });

  test('a range before or behind all points still gets the nearest one', () => {
    expect(decimate(points([1, 2, 3]), 10, 20, 100)).toEqual({ x: [2], y: [3] });
    expect(decimate(points([1, 2, 3]), -20, -10, 100)).toEqual({ x: [0], y: [1] });
    expect(decimate(points([]), 0, 1, 100)).toEqual({ x: [], y: [] });
  });
});

describe('align', () => {
  test('puts lines on one ascending x, null where one has nothing', () => {
    const lines = [{ x: [1, 3], y: [10, 30] }, { x: [2, 3, 4], y: [2, 3, 4] }];
    expect(align(lines)).toEqual([[1, 2, 3, 4], [10, null, 30, null], [null, 2, 3, 4]]);
  });

  test('a line may have two points at the same x', () => {
    expect(align([{ x: [1, 1], y: [5, 6] }, { x: [1], y: [7] }])).toEqual([[1, 1], [5, 6], [7, null]]);
  });
});
