/**
 * Products of f16 that neither overflow nor lose small gradients: a whole operand is scaled by a power of two, which is exact, so that its largest number
 * lies between 2¹⁴ and 2¹⁵; products are at most 2³⁰ then, sums of them are f32, and are scaled back. What is 2²⁹ times smaller than the largest still
 * has all of f16's 11 bits. An operand that is no longer finite makes what comes of it NaN, as in f32: a run that has diverged shows.
 */
import type { Abilities } from './abilities.ts';
import type { Gpu, Part } from './gpu.ts';
import { elementwise, type Kernel, THREADS, weightReader, type WeightStorage, wordsOf } from './kernel.ts';
import type { Memory } from './memory.ts';

/** What numbers are in a tile, and how a number becomes one. */
export const numbersOf = (half: Abilities['half']): string => `
alias number = ${half === 'f16' ? 'f16' : 'f32'};
fn number_of(x: f32) -> number { return ${half === 'f16' ? 'f16(x)' : half === 'rounded' ? 'unpack2x16float(pack2x16float(vec2f(x, 0.0))).x' : 'x'}; }`;

/** The scale of an operand by the bits of its largest number, and what undoes it. */
export const SCALES = `
fn scale_of(top: u32) -> f32 { return bitcast<f32>((268u - clamp(top >> 23u, 15u, 254u)) << 23u); }
fn unscale_of(top: u32) -> f32 {
  if (top >= 0x7f800000u) { return bitcast<f32>(top | 0x400000u); }
  return bitcast<f32>((max(top >> 23u, 15u) - 14u) << 23u);
}`;

/** Numbers a thread looks at, at least, and workgroups at most: each adds one atomic to those of the others. */
const EACH = 8, MOST = 512;
/** Largest numbers found before all their places are cleared. */
const SLOTS = 512;
const CLEAR = elementwise({ name: 'clear', buffers: { x: 'u32' }, numbers: {}, main: 'x[i] = 0u;' });

/** The largest size of x's numbers [at, at + n), or of rows between two bounds, as its bits: whole numbers, so that the order does not matter. */
function largest(storage: WeightStorage, grouped: boolean): Kernel {
  return {
    name: `largest ${storage}${grouped ? ' grouped' : ''}`,
    buffers: { tops: 'atomic<u32>', w: wordsOf(storage), ...(grouped ? { bounds: 'i32' } as const : {}) },
    numbers: { at: 'u32', n: 'u32', row: 'u32', group: 'u32', slot: 'u32' }, threads: THREADS,
    shared: `${weightReader(storage)}\nvar<workgroup> highest: atomic<u32>;`,
    main: `
  let start = P.at${grouped ? ' + u32(bounds[P.group]) * P.row' : ''};
  let end = P.at + ${grouped ? 'u32(bounds[P.group + 1u]) * P.row' : 'P.n'};
  var top = 0u;
  for (var i = start + block * ${THREADS}u + lane; i < end; i += P.blocks * ${THREADS}u) { top = max(top, bitcast<u32>(weight(i)) & 0x7fffffffu); }
  atomicMax(&highest, top);
  workgroupBarrier();
  if (lane == 0u) { atomicMax(&tops[P.slot], atomicLoad(&highest)); }`,
  };
}
const kernels = new Map<string, Kernel>();

/** Numbers [at, at + n) of a part; rows of them, where only those of a group count. */
export type Operand = { part: Part; storage: WeightStorage; at: number; n: number; row: number; group?: { bounds: Part; at: number } };
/** Finds the largest of both operands; `tops` holds their bits at `slot` and behind. */
export type Ranges = (operands: [Operand, Operand]) => { tops: Part; slot: number };

export function createRanges(gpu: Gpu, memory: Memory): Ranges {
  let next = 0;
  return (operands) => {
    const tops = memory.scratch('largest', SLOTS);
    if (next === SLOTS) {
      gpu.run(CLEAR, { x: tops }, { n: SLOTS }, SLOTS / THREADS);
      next = 0;
    }
    const slot = next;
    for (const { part, storage, at, n, row, group } of operands) {
      const key = `${storage} ${group !== undefined}`;
      const kernel = kernels.get(key) ?? largest(storage, group !== undefined);
      kernels.set(key, kernel);
      const blocks = Math.max(1, Math.min(MOST, Math.ceil(n / (EACH * THREADS))));
      gpu.run(kernel, { tops, w: part, ...(group ? { bounds: group.bounds } : {}) }, { at, n, row, group: group?.at ?? 0, slot: next++ }, blocks);
    }
    return { tops, slot };
  };
}
