import { expect, test } from 'vitest';
import { meanOf, shareOf } from './statistics.ts';

test("a share's interval is Wilson's", () => {
  // Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662; 15 of 148 gives 0.0624 to 0.1605; 0 of 20 gives 0 to 0.1611
  const rounded = (successes: number, trials: number) => Object.values(shareOf(successes, trials)).map((value) => Number(value.toFixed(4)));
  expect(rounded(81, 263)).toEqual([0.308, 0.2553, 0.3662]);
  expect(rounded(15, 148)).toEqual([0.1014, 0.0624, 0.1605]);
  expect(rounded(0, 20)).toEqual([0, 0, 0.1611]);
  expect(shareOf(20, 20).high).toBe(1);
});

test("a mean's interval is 1.96 standard errors to both sides", () => {
  // 1, 2, 3, 4: mean 2.5, variance 5/3, standard error sqrt(5/12) = 0.645497
  const { value, low, high } = meanOf([1, 2, 3, 4]);
  expect(value).toBe(2.5);
  expect(high - value).toBeCloseTo(1.959964 * 0.6454972, 5);
  expect(value - low).toBeCloseTo(high - value, 12);
  expect(meanOf([3])).toEqual({ value: 3, low: 3, high: 3 });
});
