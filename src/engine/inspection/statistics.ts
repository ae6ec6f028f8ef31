/**
 * The numbers of one tensor, and of the change from one to another: passes over the values in order, sums in f64. What reads the tensors is
 * jobs/inspect-model.ts. As numpy has them: std of the population, np.histogram's bins, np.linalg.norm.
 */
import type { TensorChange, TensorNumbers } from '../../shared/inspection.ts';

/** Bars of a histogram. */
export const BINS = 64;

/** values (n) */
export function numbersOf(values: Float32Array): Omit<TensorNumbers, 'name'> {
  let [finite, zeros, sum, squares, min, max] = [0, 0, 0, 0, Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    if (x - x !== 0) continue; // NaN or infinite
    finite++;
    if (x === 0) zeros++;
    sum += x;
    squares += x * x;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  const bins = new Array<number>(BINS).fill(0);
  const nonFinite = values.length - finite;
  if (finite === 0) return { count: values.length, nonFinite, zeros, min: null, max: null, mean: null, std: null, l2: null, bins };
  const mean = sum / finite;
  const scale = max > min ? BINS / (max - min) : 0;
  let spread = 0;
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    if (x - x !== 0) continue;
    spread += (x - mean) * (x - mean);
    if (scale > 0) bins[Math.min(BINS - 1, Math.floor((x - min) * scale))]!++;
  }
  return { count: values.length, nonFinite, zeros, min, max, mean, std: Math.sqrt(spread / finite), l2: Math.sqrt(squares), bins };
}

/** model (n) against other (n) */
export function changeOf(model: Float32Array, other: Float32Array): Pick<TensorChange, 'relative' | 'cosine' | 'largest' | 'squares'> {
  let [change, ours, theirs, dot, largest] = [0, 0, 0, 0, 0];
  for (let i = 0; i < model.length; i++) {
    const [a, b] = [model[i]!, other[i]!];
    const d = a - b;
    change += d * d;
    ours += a * a;
    theirs += b * b;
    dot += a * b;
    if (Math.abs(d) > largest) largest = Math.abs(d);
  }
  // what is not a number anywhere is not one in the sums: there is nothing to compare
  if (!Number.isFinite(change + ours + theirs)) return { relative: null, cosine: null, largest: null, squares: null };
  return {
    relative: theirs > 0 ? Math.sqrt(change / theirs) : change === 0 ? 0 : null,
    cosine: ours > 0 && theirs > 0 ? Math.max(-1, Math.min(1, dot / Math.sqrt(ours) / Math.sqrt(theirs))) : null,
    largest,
    squares: { change, other: theirs },
  };
}
