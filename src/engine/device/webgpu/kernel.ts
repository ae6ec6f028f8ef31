/** A kernel as text: WGSL with its buffers and numbers named once, and the few pieces of WGSL that several kernels share. */
import { NF4_NUMBERS } from '../../formats/nf4.ts';
import type { Storage } from '../device.ts';

export type Kernel = {
  /** One name, one text: pipelines are kept by it. */
  name: string;
  /** In order of their bindings; all may be written. */
  buffers: Record<string, 'f32' | 'i32' | 'u32' | 'atomic<u32>'>;
  /** What the text reads as P.name. */
  numbers: Record<string, 'f32' | 'i32' | 'u32'>;
  /** Threads of a workgroup. */
  threads: number;
  /** Functions and workgroup memory. */
  shared?: string;
  /** Calls sum_all or max_all: see reductions. */
  reduces?: true;
  /** Extensions its own text is written with. */
  enables?: ('f16' | 'chromium_experimental_subgroup_matrix')[];
  /** The body of the kernel: `block` is the workgroup's number, `lane` the thread's in it. */
  main: string;
};

/** `aliases`: see gpu.ts; `subgroups`: whether the text may use them. */
export function wgsl({ buffers, numbers, threads, shared = '', reduces, enables = [], main }: Kernel, aliases: Record<string, string>, subgroups: boolean): string {
  const bySubgroup = subgroups && (reduces || enables.includes('chromium_experimental_subgroup_matrix'));
  const bound = Object.keys(buffers).filter((name) => aliases[name] === name);
  const rename = (text: string): string =>
    Object.entries(aliases).reduce((all, [name, as]) => (name === as ? all : all.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), as)), text);
  return `
${[...enables, ...(bySubgroup ? ['subgroups'] : [])].map((extension) => `enable ${extension};`).join('\n')}
struct Numbers { blocks: u32, across: u32, ${Object.entries(numbers).map(([name, type]) => `${name}: ${type}`).join(', ')} }
@group(0) @binding(0) var<uniform> P: Numbers;
${bound.map((name, i) => `@group(0) @binding(${i + 1}) var<storage, read_write> ${name}: array<${buffers[name]}>;`).join('\n')}
${bySubgroup ? IN_SUBGROUP : ''}${reduces ? reductions(threads, subgroups) : ''}${rename(shared)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32${bySubgroup ? SUBGROUP : ''}) {
${bySubgroup ? '  in_subgroup = vec3u(subgroup, subgroups, subgroup_lane);' : ''}
  let block = group.y * P.across + group.x;
  if (block >= P.blocks) { return; }
${rename(main)}
}`;
}

/** Threads of a kernel that has one for each element. */
export const THREADS = 256;
export const blocksOf = (n: number, size = THREADS): number => Math.ceil(n / size);

/** A kernel of one thread an element: `main` is what element `i` of P.n does. */
export function elementwise(kernel: Omit<Kernel, 'threads'>): Kernel {
  return {
    ...kernel, numbers: { n: 'u32', ...kernel.numbers }, threads: THREADS,
    main: `let i = block * ${THREADS}u + lane;\nif (i >= P.n) { return; }\n${kernel.main}`,
  };
}

export type WeightStorage = Exclude<Storage, 'i32'>;
/** What frozen weights are stored as when gradients go through them. */
export const FROZEN: WeightStorage[] = ['f32', 'bf16', 'int8', 'q4_0', 'nf4'];

/** What a buffer of a weight of this storage holds. */
export const wordsOf = (storage: WeightStorage): 'f32' | 'u32' => (storage === 'f32' ? 'f32' : 'u32');

/** `weight(i)`: element i of the buffer `w` in any storage; blocks as blocks.ts lays them out. */
export const weightReader = (storage: WeightStorage): string => `fn weight(i: u32) -> f32 {${READERS[storage]}}`;

const BYTES = `
  let at = (i >> 5u) * 9u;
  let bytes = w[at + 1u + ((i & 31u) >> 2u)];
  return bitcast<f32>(w[at]) * f32(bitcast<i32>(bytes << (24u - 8u * (i & 3u))) >> 24u);
`;
const READERS: Record<WeightStorage, string> = {
  f32: ' return w[i]; ',
  bf16: ' let pair = w[i >> 1u]; return bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (i & 1u) == 1u)); ',
  q8_0: BYTES,
  int8: BYTES,
  // of a block's 16 bytes the low halves come first, then the high ones
  q4_0: `
  let at = (i >> 5u) * 5u;
  let byte = w[at + 1u + ((i & 15u) >> 2u)] >> (8u * (i & 3u));
  return bitcast<f32>(w[at]) * f32(i32((byte >> ((i & 16u) >> 2u)) & 15u) - 8);
`,
  nf4: `
  let numbers = array<f32, 16>(${[...NF4_NUMBERS].map((x) => x.toPrecision(9)).join(', ')});
  let at = (i >> 6u) * 9u;
  let byte = w[at + 1u + ((i & 63u) >> 3u)] >> (8u * ((i & 7u) >> 1u));
  return numbers[(byte >> (4u - 4u * (i & 1u))) & 15u] * bitcast<f32>(w[at]);
`,
};

/** Which subgroup a thread is in, of how many, and its place there: arguments of main, and for functions. */
const SUBGROUP = ', @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32';
const IN_SUBGROUP = 'var<private> in_subgroup: vec3u;\n';

/**
 * sum_all and max_all: add, or take the largest of, one f32 of each thread of a workgroup, in an order that is always the same on a card. By halves through
 * workgroup memory, or within each subgroup at once and then over those.
 */
function reductions(threads: number, subgroups: boolean): string {
  const halves = (both: string): string => `
  gathered[lane] = value;
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { let a = gathered[lane]; let b = gathered[lane + half]; gathered[lane] = ${both}; }
  }`;
  const bySubgroup = (within: string, both: string): string => `
  let part = ${within}(value);
  if (in_subgroup.z == 0u) { gathered[in_subgroup.x] = part; }
  workgroupBarrier();
  if (lane == 0u) {
    var a = gathered[0];
    for (var i = 1u; i < in_subgroup.y; i++) { let b = gathered[i]; a = ${both}; }
    gathered[0] = a;
  }`;
  const reduce = (name: string, within: string, both: string): string => `
fn ${name}(value: f32, lane: u32) -> f32 {
  workgroupBarrier();${subgroups ? bySubgroup(within, both) : halves(both)}
  return workgroupUniformLoad(&gathered[0]);
}`;
  return `var<workgroup> gathered: array<f32, ${threads}>;${reduce('sum_all', 'subgroupAdd', 'a + b')}${reduce('max_all', 'subgroupMax', 'max(a, b)')}\n`;
}

/** tanh, which WGSL lets a driver compute by exponentials that overflow: by a series near 0, by one exponential beyond. */
export const TANH = `
fn tanh_of(x: f32) -> f32 {
  let size = min(abs(x), 12.0);
  let square = x * x;
  let near = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0 - square * (17.0 / 315.0 - square * (62.0 / 2835.0)))));
  let far = sign(x) * (1.0 - 2.0 / (exp(2.0 * size) + 1.0));
  return select(far, near, size < 0.3);
}`;

/** Smaller than any score, and no infinity, which WGSL need not know. */
export const LOWEST = '-3.0e38';
