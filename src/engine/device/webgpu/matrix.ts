/**
 * The heart of a product by subgroup matrices (`chromium_experimental_subgroup_matrix`): the pieces of linear.ts's tile of 64 × 64 that each subgroup makes,
 * in place of its sums thread by thread. No graphics card has run it yet; variants.test.ts has its text compiled.
 */
import type { MatrixShape } from './abilities.ts';

/** Side of the tile, and threads of its workgroup. */
const TILE = 64, THREADS = 256;

export type MatrixTile = {
  /** What a subgroup adds to. */
  shared: string;
  sums: string;
  /** A step of `depth` of the tiles `left` (depth, 64) and `right` (depth, 64), whose rows are `width` apart. */
  step: string;
  /** Every sum, one after another: `store` does what becomes of `sum` of row m, column n. */
  finish(store: string): string;
};

export function matrixTile({ M, N, K, subgroup: size }: MatrixShape, depth: number, width: number): MatrixTile {
  const across = TILE / N;
  const groups = THREADS / size;
  /** Pieces of a subgroup: whole rows of them, or a part of one. */
  const each = ((TILE / M) * across) / groups;
  const rows = Array.from({ length: Math.max(1, each / across) }, (_, i) => i);
  const columns = Array.from({ length: Math.min(each, across) }, (_, i) => i);
  const pieces = rows.flatMap((row) => columns.map((column) => ({ row, column, i: row * columns.length + column })));
  return {
    shared: `var<workgroup> pieces: array<f32, ${groups * M * N}>;`,
    sums: `
  let first_row = subgroup * ${each}u / ${across}u * ${M}u;
  let first_column = subgroup * ${each}u % ${across}u * ${N}u;
  ${pieces.map(({ i }) => `var piece${i}: subgroup_matrix_result<f32, ${N}, ${M}>;`).join(' ')}`,
    step: `
    for (var k = 0u; k < ${depth}u; k += ${K}u) {
      ${rows.map((r) => `let left${r} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, col_major>(&left, k * ${width}u + first_row + ${r * M}u, ${width}u);`).join('\n      ')}
      ${columns.map((c) => `let right${c} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, row_major>(&right, k * ${width}u + first_column + ${c * N}u, ${width}u);`).join('\n      ')}
      ${pieces.map(({ i, row, column }) => `piece${i} = subgroupMatrixMultiplyAccumulate(left${row}, right${column}, piece${i});`).join('\n      ')}
    }`,
    finish: (store) => pieces.map(({ i }) => `
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&pieces, subgroup * ${M * N}u, piece${i}, ${N}u);
  workgroupBarrier();
  for (var e = lane; e < ${groups * M * N}u; e += ${THREADS}u) {
    let piece = e / ${M * N}u * ${each}u + ${i}u;
    let m = m0 + piece / ${across}u * ${M}u + e % ${M * N}u / ${N}u;
    let n = n0 + piece % ${across}u * ${N}u + e % ${N}u;
    let sum = pieces[e];${store}
  }`).join(''),
  };
}
