import { expect, test } from 'vitest';
import { preference, worthOf } from './agreement.ts';

test('the preference is the mean of both orders', () => {
  expect(preference({ inOrder: 3, swapped: -1 })).toBe(1);
});

test('a judge that looks at the answers alone is told from one that looks at the place alone', () => {
  const fair = worthOf(Array.from({ length: 100 }, (_, i) => (i < 80 ? { inOrder: 1, swapped: 1 } : { inOrder: -1, swapped: -1 })), true);
  expect(fair).toMatchObject({ firstPlace: 0.5, placeDecides: 0, warnings: [] });
  // 80 of 100 agreed; chance is 1/2, so kappa is (0.8 − 0.5) / 0.5
  expect(fair.agreement!.accuracy.value).toBe(0.8);
  expect(fair.agreement!.kappa.value).toBeCloseTo(0.6, 12);
  // Wilson for 80 of 100: 0.7112 to 0.8666, and kappa's ends follow
  expect(fair.agreement!.kappa.low).toBeCloseTo(2 * 0.711170 - 1, 4);

  const blind = worthOf(Array.from({ length: 100 }, () => ({ inOrder: 2, swapped: -2 })), true);
  expect(blind).toMatchObject({ firstPlace: 1, placeDecides: 1, warnings: ['place', 'chance'] });
  expect(blind.agreement!.accuracy.value).toBe(0.5);
});

test('pairs that nobody labelled have no agreement', () => {
  expect(worthOf([{ inOrder: 1, swapped: 2 }], false).agreement).toBeNull();
});
