/** Kernels over plain vectors: those of device.ts's first part, columns of matrices, and AdamW. One thread an element, but for the sum of squares. */
import { toBf16 } from '../../formats/float.ts';
import type { Device } from '../device.ts';
import type { Gpu } from './gpu.ts';
import { blocksOf, elementwise, type Kernel, THREADS } from './kernel.ts';
import type { Memory } from './memory.ts';

export const FILL = elementwise({ name: 'fill', buffers: { x: 'u32' }, numbers: { bits: 'u32' }, main: 'x[i] = P.bits;' });
/** Two halves a word; of an odd number of them the last word keeps its other half. */
const FILL_HALVES = elementwise({
  name: 'fill_halves', buffers: { x: 'u32' }, numbers: { bits: 'u32', odd: 'u32' },
  main: 'if (P.odd == 1u && i == P.n - 1u) { x[i] = (x[i] & 0xffff0000u) | P.bits; } else { x[i] = P.bits | (P.bits << 16u); }',
});
// bits, so that everything arrives as it was
const COPY = elementwise({ name: 'copy', buffers: { out: 'u32', x: 'u32' }, numbers: { outAt: 'u32', xAt: 'u32' }, main: 'out[P.outAt + i] = x[P.xAt + i];' });
const AXPY = elementwise({ name: 'axpy', buffers: { out: 'f32', x: 'f32' }, numbers: { alpha: 'f32' }, main: 'out[i] += P.alpha * x[i];' });
const COPY_COLUMNS = elementwise({
  name: 'copy_columns', buffers: { out: 'f32', x: 'f32' },
  numbers: { outAt: 'u32', outStride: 'u32', xAt: 'u32', xStride: 'u32', width: 'u32', add: 'u32' },
  main: `
  let row = i / P.width;
  let to = P.outAt + row * P.outStride + i % P.width;
  let value = x[P.xAt + row * P.xStride + i % P.width];
  if (P.add == 1u) { out[to] += value; } else { out[to] = value; }`,
});
const DROPOUT = elementwise({
  name: 'dropout', buffers: { out: 'f32', x: 'f32' }, numbers: { salt: 'u32', least: 'u32', scale: 'f32' },
  shared: 'fn mix(value: u32) -> u32 { var h = (value ^ (value >> 16u)) * 0x85ebca6bu; h = (h ^ (h >> 13u)) * 0xc2b2ae35u; return h ^ (h >> 16u); }',
  main: 'out[i] = select(0.0, x[i] * P.scale, (mix(i ^ mix(P.salt)) >> 8u) >= P.least);',
});
const ADAMW = elementwise({
  name: 'adamw', buffers: { w: 'f32', grad: 'f32', m: 'f32', v: 'f32' },
  numbers: { gradScale: 'f32', decay: 'f32', beta1: 'f32', rest1: 'f32', beta2: 'f32', rest2: 'f32', rate: 'f32', correction: 'f32', eps: 'f32' },
  main: `
  let g = P.gradScale * grad[i];
  let first = P.beta1 * m[i] + P.rest1 * g;
  let second = P.beta2 * v[i] + P.rest2 * g * g;
  m[i] = first;
  v[i] = second;
  w[i] = w[i] * P.decay - P.rate * first / (sqrt(second * P.correction) + P.eps);`,
});

/** Elements whose squares one workgroup adds. */
const SQUARES = 4096;
/**
 * Sums of squares in whole numbers of 96 bits, which no driver rounds or reorders: each square, 48 bits long, is moved to where the largest of the
 * workgroup says, 2⁻⁶³ of which is the last bit. So the sum is as good as one in f64, and the same in any order.
 */
const LIMBS = `
var<workgroup> largest: atomic<u32>;
var<workgroup> limbs: array<vec3u, ${THREADS}>;
/** Low word first. */
fn plus(a: vec3u, b: vec3u) -> vec3u {
  let low = a.x + b.x;
  let carry = select(0u, 1u, low < a.x);
  let some = a.y + b.y;
  let middle = some + carry;
  return vec3u(low, middle, a.z + b.z + select(0u, 1u, some < a.y) + select(0u, 1u, middle < some));
}
fn shifted(value: vec3u, by: u32) -> vec3u {
  var a = value;
  var s = by;
  if (s >= 96u) { return vec3u(0u); }
  if (s >= 64u) { a = vec3u(a.z, 0u, 0u); s -= 64u; } else if (s >= 32u) { a = vec3u(a.y, a.z, 0u); s -= 32u; }
  if (s == 0u) { return a; }
  return vec3u((a.x >> s) | (a.y << (32u - s)), (a.y >> s) | (a.z << (32u - s)), a.z >> s);
}
fn add_up(lane: u32, value: vec3u) {
  limbs[lane] = value;
  for (var half = ${THREADS / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { limbs[lane] = plus(limbs[lane], limbs[lane + half]); }
  }
  workgroupBarrier();
}`;
const SUM_SQUARES: Kernel = {
  name: 'sum_squares', buffers: { sums: 'u32', x: 'u32' }, numbers: { n: 'u32' }, threads: THREADS, shared: LIMBS,
  main: `
  let begin = block * ${SQUARES}u;
  let end = min(begin + ${SQUARES}u, P.n);
  for (var i = begin + lane; i < end; i += ${THREADS}u) { atomicMax(&largest, (x[i] >> 23u) & 255u); }
  workgroupBarrier();
  let top = atomicLoad(&largest);
  var sum = vec3u(0u);
  for (var i = begin + lane; i < end; i += ${THREADS}u) {
    let exponent = (x[i] >> 23u) & 255u;
    if (exponent == 0u) { continue; }
    let significand = (x[i] & 0x7fffffu) | 0x800000u;
    let a = significand & 0xffffu;
    let b = significand >> 16u;
    let cross = 2u * a * b;
    let low = a * a + (cross << 16u);
    let high = b * b + (cross >> 16u) + select(0u, 1u, low < a * a);
    sum = plus(sum, shifted(vec3u(low << 15u, (high << 15u) | (low >> 17u), 0u), 2u * (top - exponent)));
  }
  add_up(lane, sum);
  if (lane == 0u) { sums[4u * block] = top; sums[4u * block + 1u] = limbs[0].x; sums[4u * block + 2u] = limbs[0].y; sums[4u * block + 3u] = limbs[0].z; }`,
};
const ADD_SQUARES: Kernel = {
  name: 'add_squares', buffers: { out: 'u32', sums: 'u32' }, numbers: { parts: 'u32', outAt: 'u32' }, threads: THREADS, shared: LIMBS,
  main: `
  for (var i = lane; i < P.parts; i += ${THREADS}u) { atomicMax(&largest, sums[4u * i]); }
  workgroupBarrier();
  let top = atomicLoad(&largest);
  var sum = vec3u(0u);
  for (var i = lane; i < P.parts; i += ${THREADS}u) {
    sum = plus(sum, shifted(vec3u(sums[4u * i + 1u], sums[4u * i + 2u], sums[4u * i + 3u]), 2u * (top - sums[4u * i])));
  }
  add_up(lane, sum);
  if (lane != 0u) { return; }
  var all = limbs[0];
  if (top == 255u) { out[P.outAt] = 0x7fc00000u; return; } // something was no number
  if (all.x == 0u && all.y == 0u && all.z == 0u) { out[P.outAt] = 0u; return; }
  // to f32, to nearest even: the leading bit goes to the top of the highest word
  var exponent = i32(2u * top) - 93; // of a bit 95: 95 − 15 + 2 · (top − 150) + 127
  if (all.z == 0u) { all = vec3u(0u, all.x, all.y); exponent -= 32; }
  if (all.z == 0u) { all = vec3u(0u, 0u, all.y); exponent -= 32; }
  let room = countLeadingZeros(all.z);
  if (room > 0u) { all = vec3u(all.x << room, (all.y << room) | (all.x >> (32u - room)), (all.z << room) | (all.y >> (32u - room))); }
  exponent -= i32(room);
  var significand = all.z >> 8u;
  let rest = all.z & 255u;
  if (rest > 128u || (rest == 128u && ((all.x | all.y) != 0u || (significand & 1u) == 1u))) { significand += 1u; }
  if (significand == 0x1000000u) { significand = 0x800000u; exponent += 1; }
  if (exponent <= 0) { out[P.outAt] = 0u; } else if (exponent >= 255) { out[P.outAt] = 0x7f800000u; } else { out[P.outAt] = (u32(exponent) << 23u) | (significand & 0x7fffffu); }`,
};

/** The bits of an f32. */
const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0];

export function createVectorKernels(gpu: Gpu, { part, scratch }: Memory): Pick<Device, 'fill' | 'copy' | 'axpy' | 'sumSquares' | 'dropout' | 'copyColumns' | 'adamw'> {
  return {
    fill(x, value, n) {
      const buffers = { x: part(x, 'f32', 'i32', 'bf16') };
      if (x.storage !== 'bf16') return gpu.run(FILL, buffers, { n, bits: x.storage === 'i32' ? value : bitsOf(value) }, blocksOf(n));
      const words = Math.ceil(n / 2);
      gpu.run(FILL_HALVES, buffers, { n: words, bits: toBf16(Float32Array.of(value))[0], odd: n % 2 }, blocksOf(words));
    },
    copy: (out, outOffset, x, xOffset, n) => gpu.run(COPY, { out: part(out, 'f32'), x: part(x, 'f32') }, { n, outAt: outOffset, xAt: xOffset }, blocksOf(n)),
    axpy: (out, x, alpha, n) => gpu.run(AXPY, { out: part(out, 'f32'), x: part(x, 'f32') }, { n, alpha }, blocksOf(n)),
    sumSquares(out, outIndex, x, n) {
      const parts = blocksOf(n, SQUARES);
      const sums = scratch('squares', Math.max(4, 4 * parts));
      gpu.run(SUM_SQUARES, { sums, x: part(x, 'f32') }, { n }, parts);
      gpu.run(ADD_SQUARES, { out: part(out, 'f32'), sums }, { parts, outAt: outIndex }, 1);
    },
    dropout: (out, x, n, p, seed) =>
      gpu.run(DROPOUT, { out: part(out, 'f32'), x: part(x, 'f32') }, { n, salt: seed, least: Math.ceil(p * 2 ** 24), scale: 1 / (1 - p) }, blocksOf(n)),
    copyColumns: (out, outAt, outStride, x, xAt, xStride, rows, width, add) =>
      gpu.run(COPY_COLUMNS, { out: part(out, 'f32'), x: part(x, 'f32') }, { n: rows * width, outAt, outStride, xAt, xStride, width, add }, blocksOf(rows * width)),
    adamw: (w, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale) =>
      gpu.run(ADAMW, { w: part(w, 'f32'), grad: part(grad, 'f32'), m: part(m, 'f32'), v: part(v, 'f32') }, {
        n, gradScale, decay: 1 - lr * weightDecay, beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2,
        rate: lr / (1 - beta1 ** step), correction: 1 / (1 - beta2 ** step), eps,
      }, blocksOf(n)),
  };
}
