import { expect, test } from 'vitest';
import { logTicks, tickLabels, timeTick } from './ticks.ts';

test('a logarithmic axis within one power of ten has ordinary round marks', () => {
  expect(logTicks(0.8, 3.1, 5)).toEqual([1, 1.5, 2, 2.5, 3]);
});

test('over a few powers it has 1, 2 and 5; over many, powers only', () => {
  expect(logTicks(0.5, 60, 6)).toEqual([0.5, 1, 2, 5, 10, 20, 50]);
  expect(logTicks(1e-8, 1, 4)).toEqual([1e-8, 1e-6, 1e-4, 0.01, 1]);
});

test('marks are written as short as tells them apart', () => {
  expect(tickLabels([0, 0.5, 1, 1.5])).toEqual(['0', '0.5', '1', '1.5']);
  expect(tickLabels([4.75, 5, 5.25])).toEqual(['4.75', '5', '5.25']);
  expect(tickLabels([2.34, 2.36, 2.38])).toEqual(['2.34', '2.36', '2.38']);
  expect(tickLabels([0, 2e-5, 4e-5])).toEqual(['0', '2e-5', '4e-5']);
  expect(tickLabels([0, 20_000, 40_000])).toEqual(['0', '20k', '40k']);
  expect(tickLabels([1_000_000, 1_050_000])).toEqual(['1M', '1.05M']);
  expect(tickLabels([-150, -100, -50])).toEqual(['-150', '-100', '-50']);
});

test('times are written in clock units', () => {
  expect([5, 90, 600, 5400, 90_000].map(timeTick)).toEqual(['5s', '1m 30s', '10m', '1h 30m', '1d 1h']);
});
