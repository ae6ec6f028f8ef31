/** Pages of sampled answers hold whole prompts, unless one prompt alone has too many. */
import { expect, test } from 'vitest';
import { pageSize } from './answers.ts';

test('whole prompts, as many as usually fit, and at least one', () => {
  expect([1, 2, 8, 32, 64, 100].map(pageSize)).toEqual([48, 48, 48, 32, 64, 100]);
  expect(pageSize(7)).toBe(42);
  expect(pageSize(1000)).toBe(100);
});
