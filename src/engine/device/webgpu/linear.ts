/**
 * Matrix products, by tiles in workgroup memory, whatever the weight is stored as; few rows at a time, as in decoding, go over the weight once without tiles.
 * In f32, or, as webgpu-f16, of f16 with sums in f32: there half.ts's scales keep every number in f16's range. Few rows wait for memory and not for
 * arithmetic, and q8_0's products of bytes are exact: both stay in f32.
 */
import { Q8_0_BLOCK } from '../../formats/q8-0.ts';
import type { Device, Group, Tensor } from '../device.ts';
import type { Abilities, MatrixShape } from './abilities.ts';
import type { Gpu, Part } from './gpu.ts';
import { createRanges, numbersOf, SCALES } from './half.ts';
import { blocksOf, elementwise, FROZEN, type Kernel, weightReader, type WeightStorage, wordsOf } from './kernel.ts';
import { matrixTile } from './matrix.ts';
import type { Memory } from './memory.ts';
import { FILL } from './vectors.ts';

/** forward: c(M,N) = a(M,K) · w(N,K)ᵀ; input: c(M,N) = a(M,K) · w(K,N); weight: c(M,N) = a(K,M)ᵀ · w(K,N). */
type Kind = 'forward' | 'input' | 'weight';
/** Of a thread, both ways: the tile of a workgroup of 16 × 16 threads has 16 times as many rows and columns. */
type Side = 1 | 2 | 4;

/** Steps of k in workgroup memory at once. */
const DEPTH = 16;
/** Workgroups that keep a large graphics card busy: with fewer, smaller tiles make more of them. */
const BUSY = 128;
/** Rows that are few. */
const FEW = 4;

const kernels = new Map<string, Kernel>();
function kept(name: string, make: (name: string) => Kernel): Kernel {
  let kernel = kernels.get(name);
  if (!kernel) kernels.set(name, (kernel = make(name)));
  return kernel;
}

const NUMBERS: Kernel['numbers'] = { M: 'u32', N: 'u32', K: 'u32', aAt: 'u32', wAt: 'u32', cAt: 'u32', alpha: 'f32', beta: 'f32', group: 'u32', slot: 'u32' };
const buffersOf = (storage: WeightStorage, biased: boolean, grouped: boolean, half: Abilities['half']): Kernel['buffers'] =>
  ({ c: 'f32', a: 'f32', w: wordsOf(storage), ...(biased ? { bias: 'f32' } : {}), ...(grouped ? { bounds: 'i32' } : {}), ...(half ? { tops: 'u32' } : {}) });
/** What becomes of a sum at `at`, column n; beta 0 never reads c. */
const store = (sum: string, biased: boolean): string => `
    var value = P.alpha * ${sum}${biased ? ' + bias[n]' : ''};
    if (P.beta != 0.0) { value += P.beta * c[at]; }
    c[at] = value;`;

type Variant = { kind: Kind; storage: WeightStorage; side: Side; biased: boolean; grouped: boolean; half: Abilities['half']; matrix: MatrixShape | null };
const nameOf = ({ kind, storage, side, biased, grouped, half, matrix }: Variant): string =>
  `product ${kind} ${storage} ${side}${biased ? ' bias' : ''}${grouped ? ' grouped' : ''}${half ? ` ${half}` : ''}${matrix ? ` ${Object.values(matrix).join('.')}` : ''}`;

/** `grouped`: of the rows of tokens, which are M or, of the gradient of a weight, K, only those that the bounds on the GPU say. */
export function product(variant: Variant): Kernel {
  const { kind, storage, side, biased, grouped, half, matrix } = variant;
  const tile = 16 * side;
  // one more than a tile wide, so that threads side by side use different banks of memory; a matrix wants rows in steps of 16 bytes
  const width = tile + (matrix ? 8 : 1);
  const pieces = matrix && matrixTile(matrix, DEPTH, width);
  const sides = Array.from({ length: side }, (_, i) => i);
  const vector = side === 1 ? 'f32' : `vec${side}f`;
  const columns = `${vector}(${sides.map((j) => `f32(right[k * ${width}u + tx + ${16 * j}u])`).join(', ')})`;
  /** Threads side by side read neighbours in memory: along k where rows hold it, along the other dimension where not. */
  const load = (into: string, alongK: boolean, first: string, end: string, read: (r: string) => string): string => sides.map((i) => {
    const [k, r] = alongK ? [`lane % ${DEPTH}u`, `lane / ${DEPTH}u + ${16 * i}u`] : [`(lane + ${256 * i}u) / ${tile}u`, `(lane + ${256 * i}u) % ${tile}u`];
    return `{ let k = ${k}; let r = ${r}; let inside = k0 + k < kEnd && ${first} + r < ${end}; if (inside) { ${into}[k * ${width}u + r] = number_of(${read(`(${first} + r)`)}${half ? ` * ${into}_scale` : ''}); } else { ${into}[k * ${width}u + r] = number_of(0.0); } }`;
  }).join('\n    ');
  const put = `
    let at = P.cAt + m * P.N + n;
    if (m < mEnd && n < P.N) {${store(half ? 'sum * left_unscale * right_unscale' : 'sum', biased)} }`;
  return {
    name: nameOf(variant), enables: [...(half === 'f16' ? ['f16'] as const : []), ...(matrix ? ['chromium_experimental_subgroup_matrix'] as const : [])],
    buffers: buffersOf(storage, biased, grouped, half), numbers: NUMBERS, threads: 256,
    shared: `
${weightReader(storage)}
${grouped ? 'var<workgroup> span: vec2u;' : ''}
${numbersOf(half)}${half ? SCALES : ''}
var<workgroup> left: array<number, ${DEPTH * width}>;
var<workgroup> right: array<number, ${DEPTH * width}>;
${pieces ? pieces.shared : ''}`,
    main: `
  ${grouped ? 'if (lane == 0u) { span = vec2u(vec2i(bounds[P.group], bounds[P.group + 1u])); }\n  let rows = workgroupUniformLoad(&span);' : ''}
  ${kind === 'weight' ? `let mStart = 0u; let mEnd = P.M; let kStart = ${grouped ? 'rows.x' : '0u'}; let kEnd = ${grouped ? 'rows.y' : 'P.K'};` : `let mStart = ${grouped ? 'rows.x' : '0u'}; let mEnd = ${grouped ? 'rows.y' : 'P.M'}; let kStart = 0u; let kEnd = P.K;`}
  let across = (P.N + ${tile - 1}u) / ${tile}u;
  let m0 = mStart + (block / across) * ${tile}u;
  if (m0 >= mEnd) { return; }
  let n0 = (block % across) * ${tile}u;
  let tx = lane % 16u;
  let ty = lane / 16u;
  ${half ? 'let left_scale = scale_of(tops[P.slot]);\n  let right_scale = scale_of(tops[P.slot + 1u]);' : ''}
  ${pieces ? pieces.sums : sides.map((i) => `var sum${i} = ${vector}(0.0);`).join(' ')}
  for (var k0 = kStart; k0 < kEnd; k0 += ${DEPTH}u) {
    ${load('left', kind !== 'weight', 'm0', 'mEnd', (m) => (kind === 'weight' ? `a[P.aAt + (k0 + k) * P.M + ${m}]` : `a[P.aAt + ${m} * P.K + k0 + k]`))}
    ${load('right', kind === 'forward', 'n0', 'P.N', (n) => (kind === 'forward' ? `weight(P.wAt + ${n} * P.K + k0 + k)` : `weight(P.wAt + (k0 + k) * P.N + ${n})`))}
    workgroupBarrier();
    ${pieces ? pieces.step : `for (var k = 0u; k < ${DEPTH}u; k++) {
      let columns = ${columns};
      ${sides.map((i) => `sum${i} += f32(left[k * ${width}u + ty + ${16 * i}u]) * columns;`).join('\n      ')}
    }`}
    workgroupBarrier();
  }
  ${half ? 'let left_unscale = unscale_of(tops[P.slot]);\n  let right_unscale = unscale_of(tops[P.slot + 1u]);' : ''}
  ${pieces ? pieces.finish(put) : sides.flatMap((i) => sides.map((j) => `{
    let m = m0 + ty + ${16 * i}u;
    let n = n0 + tx + ${16 * j}u;
    let sum = ${side === 1 ? `sum${i}` : `sum${i}[${j}]`};${put}
  }`)).join('\n  ')}`,
  };
}

/** A workgroup a column: a row of w is read once, for all rows of a. */
function fewRows(storage: WeightStorage, rows: number, biased: boolean): Kernel {
  const all = Array.from({ length: rows }, (_, m) => m);
  return {
    name: `few rows ${storage} ${rows}${biased ? ' bias' : ''}`,
    buffers: buffersOf(storage, biased, false, null), numbers: NUMBERS, threads: 64, reduces: true, shared: weightReader(storage),
    main: `
  let n = block;
  ${all.map((m) => `var sum${m} = 0.0;`).join(' ')}
  for (var k = lane; k < P.K; k += 64u) {
    let value = weight(P.wAt + n * P.K + k);
    ${all.map((m) => `sum${m} += value * a[P.aAt + ${m}u * P.K + k];`).join('\n    ')}
  }
  ${all.map((m) => `{
    let total = sum_all(sum${m}, lane);
    let at = P.cAt + ${m}u * P.N + n;
    if (lane == 0u) {${store('total', biased)} }
  }`).join('\n  ')}`,
  };
}

export type Matrix = { part: Part; at: number };
export type Weight = Matrix & { storage: WeightStorage };
/** A weight as a matrix; storages other than those allowed are refused. */
export const weightOf = ({ part }: Memory, w: Tensor, allowed: WeightStorage[]): Weight => ({ part: part(w, ...allowed), at: 0, storage: w.storage as WeightStorage });
/** Elements; see Kind. */
type Product = { c: Matrix; a: Matrix; w: Weight; bias?: Part | null; group?: { bounds: Part; at: number }; M: number; N: number; K: number; alpha: number; beta: number };

export type Multiply = (kind: Kind, product: Product) => void;

export function createProducts(gpu: Gpu, memory: Memory): Multiply {
  const ranges = createRanges(gpu, memory);
  return (kind, { c, a, w, bias = null, group, M, N, K, alpha, beta }) => {
    if (M === 0 || N === 0) return;
    const { storage } = w;
    const half = storage === 'q8_0' ? null : gpu.abilities.half;
    const buffers = { c: c.part, a: a.part, w: w.part, ...(bias ? { bias } : {}), ...(group ? { bounds: group.bounds } : {}) };
    const numbers = { M, N, K, aAt: a.at, wAt: w.at, cAt: c.at, alpha, beta, group: group?.at ?? 0, slot: 0 };
    const grouped = group !== undefined;
    const biased = bias !== null;
    if (kind === 'forward' && M <= FEW && !grouped) return gpu.run(kept(`few ${storage} ${M} ${biased}`, () => fewRows(storage, M, biased)), buffers, numbers, N);
    const blocks = (side: Side): number => blocksOf(M, 16 * side) * blocksOf(N, 16 * side);
    const side = ([4, 2] satisfies Side[]).find((side) => blocks(side) >= BUSY) ?? (Math.min(M, N) <= 16 ? 1 : 2);
    const variant: Variant = { kind, storage, side, biased, grouped, half, matrix: half && side === 4 ? gpu.abilities.matrix : null };
    const kernel = kept(nameOf(variant), () => product(variant));
    if (!half) return gpu.run(kernel, buffers, numbers, blocks(side));
    const { tops, slot } = ranges([
      { ...a, storage: 'f32', n: M * K, row: kind === 'weight' ? M : K, group },
      { ...w, n: N * K, row: N, group: kind === 'weight' ? group : undefined },
    ]);
    gpu.run(kernel, { ...buffers, tops }, { ...numbers, slot }, blocks(side));
  };
}

// ── q8_0 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
/** a / b of positive numbers, to nearest even: WGSL's own division may be off in its last bits, and here one bit turns a byte. Digit by digit, as on paper. */
const DIVIDED = `
fn divided(a: f32, b: f32) -> f32 {
  var rest = (bitcast<u32>(a) & 0x7fffffu) | 0x800000u;
  let by = (bitcast<u32>(b) & 0x7fffffu) | 0x800000u;
  var exponent = i32(bitcast<u32>(a) >> 23u) - i32(bitcast<u32>(b) >> 23u) + 127;
  if (rest < by) { rest <<= 1u; exponent -= 1; }
  var digits = 0u;
  for (var i = 0; i < 25; i++) {
    digits <<= 1u;
    if (rest >= by) { rest -= by; digits |= 1u; }
    rest <<= 1u;
  }
  var significand = digits >> 1u;
  if ((digits & 1u) == 1u && (rest != 0u || (significand & 1u) == 1u)) { significand += 1u; }
  if (significand == 0x1000000u) { significand = 0x800000u; exponent += 1; }
  if (exponent <= 0) { return 0.0; }
  return bitcast<f32>((u32(exponent) << 23u) | (significand & 0x7fffffu));
}`;
const LARGEST = `
  var largest = 0.0;
  for (var j = 0u; j < 32u; j++) { largest = max(largest, abs(x[32u * i + j])); }
  var d = 0.0;
  var inverse = 0.0;
  if (largest > 0.0) { d = divided(largest, 127.0); }
  if (d > 0.0) { inverse = divided(1.0, d); }`;
/** A thread a block. The scale is rounded to the f16 that ggml keeps, to nearest even, in whole numbers: WGSL's own rounding is the driver's. */
const QUANTIZE = elementwise({
  name: 'quantize', buffers: { w: 'u32', x: 'f32' }, numbers: {},
  shared: `${DIVIDED}
fn through_f16(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if (value >= 65520.0) { return 0x7f800000u; }
  if (value >= 6.103515625e-5) { return (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u; }
  return bitcast<u32>(round(value * 16777216.0) * 5.9604644775390625e-8); // below, f16 counts in steps of 2⁻²⁴
}`,
  main: `${LARGEST}
  w[9u * i] = through_f16(d);
  for (var word = 0u; word < 8u; word++) {
    var bytes = 0u;
    for (var j = 0u; j < 4u; j++) {
      let scaled = x[32u * i + 4u * word + j] * inverse;
      let size = i32(floor(abs(scaled) + 0.5));
      bytes |= (bitcast<u32>(select(size, -size, scaled < 0.0)) & 255u) << (8u * j);
    }
    w[9u * i + 1u + word] = bytes;
  }`,
});
/** x as its products with blocks of bytes round it. */
const ROUND_TO_BYTES = elementwise({
  name: 'round_to_bytes', buffers: { out: 'f32', x: 'f32' }, numbers: {}, shared: DIVIDED,
  main: `${LARGEST}\n  for (var j = 0u; j < 32u; j++) { out[32u * i + j] = d * round(x[32u * i + j] * inverse); }`,
});

export function createLinearKernels(gpu: Gpu, memory: Memory, multiply: Multiply): Pick<Device, 'quantize' | 'linear' | 'linearBackwardInput' | 'linearBackwardWeight'> {
  const { part, scratch } = memory;
  const all = (x: Part): Matrix => ({ part: x, at: 0 });
  const spanOf = (group: Group | undefined): Product['group'] => group && { bounds: part(group.bounds, 'i32'), at: group.at };
  return {
    quantize: (w, x, O, I) => gpu.run(QUANTIZE, { w: part(w, 'q8_0'), x: part(x, 'f32') }, { n: (O * I) / Q8_0_BLOCK }, blocksOf((O * I) / Q8_0_BLOCK)),
    linear(out, x, w, bias, N, I, O, alpha, beta, group) {
      let a = part(x, 'f32');
      if (w.storage === 'q8_0') {
        const n = (N * I) / Q8_0_BLOCK;
        const rounded = scratch('rounded', N * I);
        gpu.run(ROUND_TO_BYTES, { out: rounded, x: a }, { n }, blocksOf(n));
        a = rounded;
      }
      multiply('forward', {
        c: all(part(out, 'f32')), a: all(a), w: weightOf(memory, w, [...FROZEN, 'q8_0']), bias: bias && part(bias, 'f32'),
        group: spanOf(group), M: N, N: O, K: I, alpha, beta,
      });
    },
    // undoes, through x: out = alpha · x · wᵀ
    linearBackwardInput: (dx, dout, w, N, I, O, alpha, beta, group) =>
      multiply('input', {
        c: all(part(dx, 'f32')), a: all(part(dout, 'f32')), w: weightOf(memory, w, FROZEN),
        group: spanOf(group), M: N, N: I, K: O, alpha, beta,
      }),
    // undoes, through w: out = alpha · x · wᵀ
    linearBackwardWeight(dw, dout, x, N, I, O, alpha, beta, group) {
      if (N === 0) return beta === 0 ? gpu.run(FILL, { x: part(dw, 'f32') }, { n: O * I, bits: 0 }, blocksOf(O * I)) : undefined;
      multiply('weight', { c: all(part(dw, 'f32')), a: all(part(dout, 'f32')), w: weightOf(memory, x, ['f32']), group: spanOf(group), M: O, N: I, K: N, alpha, beta });
    },
  };
}
