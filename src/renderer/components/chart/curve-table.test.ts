import { describe, expect, test } from 'vitest';
import { CurveTable, extremes, nearestRow } from './curve-table.ts';

const curves = (steps: number[], values: Record<string, (number | null)[]>) => ({
  steps, tokens: steps.map((step) => step * 100), seconds: steps.map((step) => step / 2), values,
});
const read = (table: CurveTable, metric: string) => [...table.points(metric, 'step').y.subarray(0, table.length)];

describe('CurveTable', () => {
  test('appends points and fills with NaN what was not logged', () => {
    const table = new CurveTable();
    table.append(curves([1, 2], { loss: [3, 2] }));
    table.append(curves([3], { loss: [null], eval_loss: [2.5] }));
    expect(read(table, 'loss')).toEqual([3, 2, NaN]);
    expect(read(table, 'eval_loss')).toEqual([NaN, NaN, 2.5]);
    expect([...table.x('tokens').subarray(0, 3)]).toEqual([100, 200, 300]);
    expect([...table.x('time').subarray(0, 3)]).toEqual([0.5, 1, 1.5]);
    expect(table.metrics).toEqual(['loss', 'eval_loss']);
  });

  test('grows past its capacity without losing a point', () => {
    const table = new CurveTable();
    for (let step = 0; step < 5000; step += 10) {
      const ten = Array.from({ length: 10 }, (_, i) => step + i);
      table.append(curves(ten, { loss: ten }));
    }
    expect(table.length).toBe(5000);
    expect(read(table, 'loss').every((value, i) => value === i)).toBe(true);
  });

  test('steps written again after a resume replace the old ones, smoothed too', () => {
    const table = new CurveTable();
    table.append(curves([1, 2, 3, 4], { loss: [4, 4, 9, 9] }));
    table.smoothed('loss', 'step', 0.5);
    table.append(curves([3, 4], { loss: [4, 4] }));
    expect(read(table, 'loss')).toEqual([4, 4, 4, 4]);
    expect([...table.smoothed('loss', 'step', 0.5).y.subarray(0, 4)]).toEqual([4, 4, 4, 4]);
  });

  test('an axis that is not known stays where it was', () => {
    const table = new CurveTable();
    table.append({ steps: [1, 2, 3], tokens: [10, null, 30], seconds: [null, null, 2], values: { loss: [1, 1, 1] } });
    expect([...table.x('tokens').subarray(0, 3)]).toEqual([10, 10, 30]);
    expect([...table.x('time').subarray(0, 3)]).toEqual([0, 0, 2]);
  });
});

describe('smoothing', () => {
  test("is TensorBoard's debiased moving average", () => {
    const table = new CurveTable();
    table.append(curves([1, 2, 3], { loss: [1, 2, 3] }));
    // weight 0.6: 0.4·1/0.4 = 1; (0.6·0.4 + 0.4·2)/(1 − 0.6²) = 1.04/0.64 = 1.625; (0.6·1.04 + 0.4·3)/(1 − 0.6³) = 1.824/0.784
    const smoothed = [...table.smoothed('loss', 'step', 0.6).y.subarray(0, 3)].map((value) => value.toFixed(9));
    expect(smoothed).toEqual([1, 1.625, 1.824 / 0.784].map((value) => value.toFixed(9)));
  });

  test('passes over gaps and goes on from where it was', () => {
    const whole = new CurveTable();
    whole.append(curves([1, 2, 3, 4, 5], { loss: [5, null, 3, 2, 1] }));
    const grown = new CurveTable();
    for (let i = 0; i < 5; i++) {
      grown.append(curves([i + 1], { loss: [[5, null, 3, 2, 1][i]] }));
      grown.smoothed('loss', 'step', 0.9);
    }
    const values = [...whole.smoothed('loss', 'step', 0.9).y.subarray(0, 5)];
    expect([...grown.smoothed('loss', 'step', 0.9).y.subarray(0, 5)]).toEqual(values);
    expect(values[1]).toBeNaN();
  });
});

test('nearestRow finds the nearest logged value on either side', () => {
  const points = { x: Float64Array.of(0, 1, 2, 3, 4), y: Float64Array.of(1, NaN, NaN, 2, NaN), length: 5 };
  expect([-5, 0, 1.4, 1.6, 3, 99].map((at) => nearestRow(points, at))).toEqual([0, 0, 0, 3, 3, 3]);
  expect(nearestRow({ ...points, length: 0 }, 1)).toBe(-1);
});

test('extremes are rows, gaps left out', () => {
  const points = { x: Float64Array.of(0, 1, 2, 3, 4), y: Float64Array.of(NaN, 3, 1, 9, NaN), length: 5 };
  expect(extremes(points)).toEqual({ first: 1, last: 3, lowest: 2, highest: 3, count: 3 });
  expect(extremes({ x: Float64Array.of(0), y: Float64Array.of(NaN), length: 1 })).toBe(null);
});
