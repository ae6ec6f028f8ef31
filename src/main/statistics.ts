/** Intervals of 95 % for what was counted or averaged. Nothing of models or rows. */
import type { Share } from '../shared/judging.ts';

/** The normal distribution's quantile for 95 %. */
const Z = 1.959963984540054;

/** `successes` of `trials`, Wilson's score interval (1927); halves may be counted. Right also near 0 and 1, where the plain one is not. */
export function shareOf(successes: number, trials: number): Share {
  if (trials === 0) return { value: 0, low: 0, high: 1 };
  const value = successes / trials;
  const middle = (value + (Z * Z) / (2 * trials)) / (1 + (Z * Z) / trials);
  const half = (Z / (1 + (Z * Z) / trials)) * Math.sqrt((value * (1 - value)) / trials + (Z * Z) / (4 * trials * trials));
  // at the ends the bound is the share itself, but for rounding
  return { value, low: successes === 0 ? 0 : middle - half, high: successes === trials ? 1 : middle + half };
}

/** A mean and its normal interval. */
export function meanOf(values: number[]): Share {
  const n = values.length;
  const value = values.reduce((sum, one) => sum + one, 0) / n;
  const variance = n > 1 ? values.reduce((sum, one) => sum + (one - value) ** 2, 0) / (n - 1) : 0;
  const half = Z * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}
