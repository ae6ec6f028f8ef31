/** Rows of tables by index, and sums of columns, whose rows add up in an order that is always the same. */
import type { Device } from '../device.ts';
import type { Gpu, Part } from './gpu.ts';
import { blocksOf, elementwise, FROZEN, type Kernel, THREADS, weightReader, type WeightStorage, wordsOf } from './kernel.ts';
import type { Memory } from './memory.ts';

const gather = (storage: WeightStorage): Kernel => elementwise({
  name: `gather_rows ${storage}`, buffers: { out: 'f32', w: wordsOf(storage), index: 'i32' }, numbers: { C: 'u32' }, shared: weightReader(storage),
  main: 'out[i] = weight(u32(index[i / P.C]) * P.C + i % P.C);',
});
const GATHER = new Map<string, Kernel>(([...FROZEN, 'q8_0'] satisfies WeightStorage[]).map((storage) => [storage, gather(storage)]));

/** A workgroup a row: the first row of an index adds all rows of that index, in their order; the others leave it to it. */
const SCATTER_ADD: Kernel = {
  name: 'scatter_add_rows', buffers: { table: 'f32', rows: 'f32', index: 'i32' }, numbers: { N: 'u32', C: 'u32' }, threads: 64,
  shared: 'var<workgroup> before: atomic<u32>;',
  main: `
  let own = index[block];
  for (var n = lane; n < block; n += 64u) { if (index[n] == own) { atomicStore(&before, 1u); } }
  workgroupBarrier();
  if (atomicLoad(&before) == 1u) { return; }
  for (var n = block; n < P.N; n++) {
    if (index[n] != own) { continue; }
    for (var c = lane; c < P.C; c += 64u) { table[u32(own) * P.C + c] += rows[n * P.C + c]; }
  }`,
};

export function createRowKernels(gpu: Gpu, { part }: Memory): Pick<Device, 'gatherRows' | 'scatterAddRows'> {
  return {
    gatherRows(out, table, index, N, C) {
      const w = part(table, ...FROZEN, 'q8_0');
      gpu.run(GATHER.get(table.storage)!, { out: part(out, 'f32'), w, index: part(index, 'i32') }, { n: N * C, C }, blocksOf(N * C));
    },
    scatterAddRows: (table, rows, index, N, C) => gpu.run(SCATTER_ADD, { table: part(table, 'f32'), rows: part(rows, 'f32'), index: part(index, 'i32') }, { N, C }, N),
  };
}

// ── sums of columns ───────────────────────────────────────────────────────────────────────────────────────────────────
/** Columns and rows at once of a workgroup. */
const [COLUMNS, ROWS] = [64, THREADS / 64];
/** Rows that one workgroup adds, at the least, and in how many parts rows are added at the most. */
const [PART, PARTS] = [64, 64];

export type ColumnSum = { kernel: Kernel; add: Kernel };

/** What adds `value`, an expression of row n and column c, over N rows of C columns. */
export function columnSum(name: string, buffers: Kernel['buffers'], value: string): ColumnSum {
  return {
    kernel: {
      name: `column_sums of ${name}`, buffers: { sums: 'f32', ...buffers }, numbers: { N: 'u32', C: 'u32', rows: 'u32' }, threads: THREADS,
      shared: `var<workgroup> gathered: array<f32, ${THREADS}>;`,
      main: `
  let across = (P.C + ${COLUMNS - 1}u) / ${COLUMNS}u;
  let piece = block / across;
  let c = (block % across) * ${COLUMNS}u + lane % ${COLUMNS}u;
  var sum = 0.0;
  if (c < P.C) {
    for (var n = piece * P.rows + lane / ${COLUMNS}u; n < min(P.N, (piece + 1u) * P.rows); n += ${ROWS}u) { sum += ${value}; }
  }
  gathered[lane] = sum;
  workgroupBarrier();
  if (lane >= ${COLUMNS}u || c >= P.C) { return; }
  for (var row = 1u; row < ${ROWS}u; row++) { sum += gathered[lane + row * ${COLUMNS}u]; }
  sums[piece * P.C + c] = sum;`,
    },
    add: elementwise({
      name: 'add_column_sums', buffers: { out: 'f32', sums: 'f32' }, numbers: { parts: 'u32' },
      main: 'var sum = 0.0;\nfor (var piece = 0u; piece < P.parts; piece++) { sum += sums[piece * P.n + i]; }\nout[i] += sum;',
    }),
  };
}

/** out(C) += the sums of its columns. */
export function addColumns(gpu: Gpu, memory: Memory, { kernel, add }: ColumnSum, out: Part, buffers: Record<string, Part>, N: number, C: number): void {
  if (N === 0) return;
  const rows = Math.max(PART, Math.ceil(N / PARTS));
  const parts = Math.ceil(N / rows);
  const sums = memory.scratch('columns', parts * C);
  gpu.run(kernel, { sums, ...buffers }, { N, C, rows }, parts * blocksOf(C, COLUMNS));
  gpu.run(add, { out, sums }, { n: C, parts }, blocksOf(C));
}
