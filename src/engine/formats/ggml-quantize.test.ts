/** Quantising against the gguf package's blocks, and against llama.cpp's own search where the format leaves the choice (fixtures/make-quantizer-fixtures.py). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createRandom } from '../random.ts';
import { BLOCK_TYPES, decodeBlocks } from './ggml-blocks.ts';
import { encoders } from './ggml-quantize.ts';
import { TENSOR_TYPE, type TensorType } from './gguf-layout.ts';
import { tensorType } from './gguf-mixture.ts';

const golden = JSON.parse(readFileSync(new URL('../../../fixtures/ggml-quantized.json', import.meta.url), 'utf8')) as {
  values: string; blocks: Record<string, string>; llamaCppSquaredErrors: Record<string, number[]>;
};
const values = new Float32Array(Uint8Array.from(Buffer.from(golden.values, 'base64')).buffer);
const back = (type: TensorType, bytes: Uint8Array) => decodeBlocks(BLOCK_TYPES.get(TENSOR_TYPE[type].number)!, bytes);
const rowErrors = (type: TensorType): number[] => {
  const got = back(type, encoders[type](values));
  return Array.from({ length: values.length / 256 }, (_, row) => values.subarray(256 * row, 256 * (row + 1)).reduce((sum, x, i) => sum + (x - got[256 * row + i]!) ** 2, 0));
};

test.each(Object.entries(golden.blocks))('%s gives the bits of the gguf package', (type, bytes) => {
  expect(Buffer.from(encoders[type as TensorType](values)).toString('base64')).toBe(bytes);
});

test.each(Object.entries(golden.llamaCppSquaredErrors))("%s comes nearer to every row than llama.cpp's own search", (type, theirs) => {
  const ours = rowErrors(type as TensorType);
  const squares = (row: number) => values.subarray(256 * row, 256 * (row + 1)).reduce((sum, x) => sum + x * x, 0);
  ours.forEach((error, row) => expect(error, `row ${row}`).toBeLessThanOrEqual(theirs[row]! + 1e-9 * squares(row))); // a row all alike may come out exactly there
  expect(ours.slice(0, 2).reduce((a, b) => a + b)).toBeLessThan(0.99 * theirs.slice(0, 2).reduce((a, b) => a + b)); // rows as weights are
});

test.each([['q4_k', 32, 15], ['q5_k', 32, 31], ['q6_k', 16, 63]] as const)('%s is off by no more than a level of its part, scales rounded', (type, part, levels) => {
  const random = createRandom(5);
  const rows = Float32Array.from({ length: 64 * 256 }, (_, i) => random.normal() * 10 ** (((i >> 8) % 7) - 3) + ((i >> 9) % 3) - 1);
  const got = back(type, encoders[type](rows));
  for (let at = 0; at < rows.length; at += part) {
    const block = rows.subarray(at - (at % 256), at - (at % 256) + 256);
    const range = Math.max(0, ...rows.subarray(at, at + part)) - Math.min(0, ...rows.subarray(at, at + part));
    // a rounded scale may miss a part's range by half a step of the block's largest
    const slack = (2 * Math.max(...block.map(Math.abs))) / 64;
    for (let i = at; i < at + part; i++) expect(Math.abs(rows[i]! - got[i]!)).toBeLessThanOrEqual(range / levels + slack);
  }
});

test('Q4_K_M gives more bits to the head and to values and down projections of some layers, as llama.cpp does', () => {
  const model = { architecture: 'llama', layers: 16, group: 4, tied: true, experts: 0 };
  const of = (name: string, layer: number | null, row = 256, tied = true) => tensorType('q4_k_m', { name, shape: [8, row], layer }, { ...model, tied });
  expect([of('token_embd.weight', null), of('token_embd.weight', null, 256, false), of('output.weight', null)]).toEqual(['q6_k', 'q4_k', 'q6_k']);
  // eighths are 0–1 and 14–15; between them every third from the second on: 4, 7, 10, 13
  const more = Array.from({ length: 16 }, (_, layer) => layer).filter((layer) => of(`blk.${layer}.ffn_down.weight`, layer) === 'q6_k');
  expect(more).toEqual([0, 1, 4, 7, 10, 13, 14, 15]);
  expect([of('blk.0.attn_v.weight', 0), of('blk.0.attn_qkv.weight', 0), of('blk.0.attn_q.weight', 0), of('blk.2.attn_v.weight', 2)]).toEqual(['q6_k', 'q6_k', 'q4_k', 'q4_k']);
  // rows that are no whole blocks of 256, and of 32
  expect([of('blk.2.ffn_up.weight', 2, 96), of('blk.0.ffn_down.weight', 0, 96), of('token_embd.weight', null, 96), of('blk.2.ffn_up.weight', 2, 20)]).toEqual(['q5_0', 'q8_0', 'q8_0', 'f16']);
  expect(tensorType('q4_k_m', { name: 'blk.3.attn_v.weight', shape: [8, 256], layer: 3 }, { ...model, layers: 80 })).toBe('q6_k');
  expect(tensorType('q4_k_m', { name: 'blk.10.attn_v.weight', shape: [8, 256], layer: 10 }, { ...model, layers: 80 })).toBe('q5_k');
  expect(tensorType('q4_0', { name: 'output.weight', shape: [8, 256], layer: null }, model)).toBe('q6_k');
});
