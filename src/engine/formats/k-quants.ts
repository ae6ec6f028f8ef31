/**
 * Rows of numbers as ggml's blocks of 256: Q4_K, Q5_K and Q6_K, of which the format says what the bits mean (ggml-blocks.ts) and not which to
 * choose. Chosen are those of least squared error that this search finds:
 *   1. each part alone (32 numbers with a scale and a minimum, 16 with a scale): from several spreads of the levels over the part's range,
 *      rounding to levels and the least-squares scale (and minimum) take turns until nothing moves; the best of them stays;
 *   2. the block's float16 scales are such that the largest of its parts' takes the largest number of six or eight bits;
 *   3. with these fixed each part tries the neighbours of its rounded scale (and minimum), and rounds its numbers anew.
 * llama.cpp's own search weighs large numbers more and has no third step: its squared error is larger (ggml-quantize.test.ts).
 */
import { f16ToF32, f32ToF16 } from './float.ts';

const BLOCK = 256;
/** Levels left out (or added) at the ends of a part's range, to begin with. */
const SPREADS = [-1, -0.7, -0.4, -0.1, 0.2, 0.5, 0.8];
const ROUNDS = 4;

const clamp = (x: number, most: number): number => (x < 0 ? 0 : x > most ? most : x);
const half = (x: number): number => f16ToF32(f32ToF16(x));

export const quantizeQ4K = (values: Float32Array): Uint8Array => affine(values, 4);
export const quantizeQ5K = (values: Float32Array): Uint8Array => affine(values, 5);

/** x = d · scale · q − dmin · minimum: eight parts of 32, scales and minima of six bits. */
function affine(values: Float32Array, bits: 4 | 5): Uint8Array {
  const levels = 2 ** bits - 1;
  const qs = 16 + (bits === 5 ? 32 : 0);
  const bytes = qs + 128;
  const count = values.length / BLOCK;
  const out = new Uint8Array(count * bytes);
  const [scales, minima] = [new Float64Array(8), new Float64Array(8)];
  for (let block = 0; block < count; block++) {
    for (let part = 0; part < 8; part++) {
      const { scale, minimum } = fitAffine(values, block * BLOCK + 32 * part, levels);
      scales[part] = scale;
      minima[part] = minimum;
    }
    const [d, dmin] = [half(Math.max(...scales) / 63), half(Math.max(...minima) / 63)];
    const to = block * bytes;
    put(out, to, d);
    put(out, to + 2, dmin);
    for (let part = 0; part < 8; part++) {
      const at = block * BLOCK + 32 * part;
      const [scale, minimum] = nearestAffine(values, at, levels, d, dmin, scales[part]!, minima[part]!);
      putScale(out, to + 4, part, scale, minimum);
      const [s, m] = [d * scale, dmin * minimum];
      const inverse = s === 0 ? 0 : 1 / s;
      for (let i = 0; i < 32; i++) {
        const q = clamp(Math.round((values[at + i]! + m) * inverse), levels);
        out[to + qs + 32 * (part >> 1) + i]! |= (q & 15) << (part % 2 === 0 ? 0 : 4);
        if (bits === 5) out[to + 16 + i]! |= (q >> 4) << part;
      }
    }
  }
  return out;
}

/** Scale and minimum, neither below 0, of 32 numbers from `at`: x ≈ scale · q − minimum. */
function fitAffine(values: Float32Array, at: number, levels: number): { scale: number; minimum: number } {
  let [least, most, sumX, sumXX] = [0, values[at]!, 0, 0];
  for (let i = at; i < at + 32; i++) {
    const x = values[i]!;
    if (x < least) least = x;
    if (x > most) most = x;
    sumX += x;
    sumXX += x * x;
  }
  // all of them at one level: the mean
  const mean = sumX / 32;
  const best = { scale: mean > 0 ? mean / levels : 0, minimum: mean > 0 ? 0 : -mean, error: sumXX - 32 * mean * mean };
  if (most === least) return best;
  for (const spread of SPREADS) {
    let [scale, minimum, before] = [(most - least) / (levels + spread), -least, Infinity];
    for (let round = 0; round < ROUNDS; round++) {
      let [sumQ, sumQQ, sumXQ] = [0, 0, 0];
      const inverse = 1 / scale;
      for (let i = at; i < at + 32; i++) {
        const x = values[i]!;
        const q = clamp(Math.round((x + minimum) * inverse), levels);
        sumQ += q;
        sumQQ += q * q;
        sumXQ += x * q;
      }
      const determinant = 32 * sumQQ - sumQ * sumQ;
      if (determinant <= 0) break; // all at one level
      scale = (32 * sumXQ - sumX * sumQ) / determinant;
      minimum = (scale * sumQ - sumX) / 32;
      if (minimum < 0) [scale, minimum] = [sumXQ / sumQQ, 0];
      if (scale <= 0) break;
      const error = sumXX + scale * scale * sumQQ + 32 * minimum * minimum - 2 * scale * sumXQ + 2 * minimum * sumX - 2 * scale * minimum * sumQ;
      if (error < best.error) {
        best.scale = scale;
        best.minimum = minimum;
        best.error = error;
      }
      if (error >= before) break;
      before = error;
    }
  }
  return best;
}

/** Of six bits each, those about the fitted ones with which the part's numbers come out nearest. */
function nearestAffine(values: Float32Array, at: number, levels: number, d: number, dmin: number, scale: number, minimum: number): [scale: number, minimum: number] {
  const [s0, m0] = [d === 0 ? 0 : clamp(Math.round(scale / d), 63), dmin === 0 ? 0 : clamp(Math.round(minimum / dmin), 63)];
  let best: [number, number] = [s0, m0];
  let least = Infinity;
  for (let s = Math.max(0, s0 - 1); s <= Math.min(63, s0 + 1); s++) {
    const by = d * s;
    const inverse = by === 0 ? 0 : 1 / by;
    for (let m = Math.max(0, m0 - 1); m <= Math.min(63, m0 + 1); m++) {
      const less = dmin * m;
      let error = 0;
      for (let i = at; i < at + 32 && error < least; i++) {
        const x = values[i]! + less;
        const difference = x - by * clamp(Math.round(x * inverse), levels);
        error += difference * difference;
      }
      if (error < least) [best, least] = [[s, m], error];
    }
  }
  return best;
}

/** Six bits of scale and of minimum among the twelve bytes from `at`, as ggml-blocks.ts reads them. */
function putScale(out: Uint8Array, at: number, part: number, scale: number, minimum: number): void {
  if (part < 4) {
    out[at + part]! |= scale;
    out[at + part + 4]! |= minimum;
  } else {
    out[at + part + 4] = (scale & 15) | ((minimum & 15) << 4);
    out[at + part - 4]! |= (scale >> 4) << 6;
    out[at + part]! |= (minimum >> 4) << 6;
  }
}

/** x = d · scale · (q − 32): sixteen parts of 16, signed scales of eight bits. */
export function quantizeQ6K(values: Float32Array): Uint8Array {
  const bytes = 210;
  const count = values.length / BLOCK;
  const out = new Uint8Array(count * bytes);
  const scales = new Float64Array(16);
  for (let block = 0; block < count; block++) {
    let largest = 0;
    for (let part = 0; part < 16; part++) {
      scales[part] = fitSymmetric(values, block * BLOCK + 16 * part);
      if (Math.abs(scales[part]!) > Math.abs(largest)) largest = scales[part]!;
    }
    const d = half(largest / -128);
    const to = block * bytes;
    put(out, to + 208, d);
    for (let part = 0; part < 16; part++) {
      const at = block * BLOCK + 16 * part;
      const scale = nearestSymmetric(values, at, d, scales[part]!);
      out[to + 192 + part] = scale; // a Uint8Array keeps the low byte, which is the int8
      const inverse = d * scale === 0 ? 0 : 1 / (d * scale);
      for (let j = 0; j < 16; j++) {
        const i = 16 * part + j;
        const q = clamp(Math.round(values[at + j]! * inverse) + 32, 63);
        const [half128, quarter, l] = [i >> 7, (i >> 5) & 3, i & 31];
        out[to + 64 * half128 + 32 * (quarter & 1) + l]! |= (q & 15) << (quarter < 2 ? 0 : 4);
        out[to + 128 + 32 * half128 + l]! |= (q >> 4) << (2 * quarter);
      }
    }
  }
  return out;
}

/** The scale of 16 numbers from `at`, of either sign: x ≈ scale · q, q from −32 to 31. */
function fitSymmetric(values: Float32Array, at: number): number {
  let largest = 0;
  for (let i = at; i < at + 16; i++) if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
  if (largest === 0) return 0;
  let [best, most] = [0, -Infinity];
  for (const spread of SPREADS) {
    let scale = largest / -(32 + spread);
    for (let round = 0; round < ROUNDS; round++) {
      let [sumQQ, sumXQ] = [0, 0];
      const inverse = 1 / scale;
      for (let i = at; i < at + 16; i++) {
        const q = clamp(Math.round(values[i]! * inverse) + 32, 63) - 32;
        sumQQ += q * q;
        sumXQ += values[i]! * q;
      }
      if (sumQQ === 0) break;
      const gain = (sumXQ * sumXQ) / sumQQ; // the squared error is Σx² less this
      const next = sumXQ / sumQQ;
      if (gain > most) [best, most] = [next, gain];
      if (next === scale) break;
      scale = next;
    }
  }
  return best;
}

function nearestSymmetric(values: Float32Array, at: number, d: number, scale: number): number {
  const s0 = d === 0 ? 0 : Math.max(-128, Math.min(127, Math.round(scale / d)));
  let [best, least] = [s0, Infinity];
  for (let s = Math.max(-128, s0 - 1); s <= Math.min(127, s0 + 1); s++) {
    const by = d * s;
    const inverse = by === 0 ? 0 : 1 / by;
    let error = 0;
    for (let i = at; i < at + 16; i++) {
      const difference = values[i]! - by * (clamp(Math.round(values[i]! * inverse) + 32, 63) - 32);
      error += difference * difference;
    }
    if (error < least) [best, least] = [s, error];
  }
  return best;
}

function put(out: Uint8Array, at: number, x: number): void {
  const bits = f32ToF16(x);
  out[at] = bits & 255;
  out[at + 1] = bits >>> 8;
}
