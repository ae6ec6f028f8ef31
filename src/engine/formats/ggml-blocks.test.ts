import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BLOCK_TYPES, decodeBlocks } from './ggml-blocks.ts';

type Golden = Record<string, { number: number; numbers: number; bytes: string; values: string }>;
const golden = JSON.parse(readFileSync(new URL('../../../fixtures/ggml-blocks.json', import.meta.url), 'utf8')) as Golden;

test.each(Object.entries(golden))('%s of any bytes is what the gguf package reads, bit for bit', (name, { number, numbers, bytes, values }) => {
  const type = BLOCK_TYPES.get(number)!;
  expect([type.name.toLowerCase(), type.numbers]).toEqual([name, numbers]);
  const raw = Buffer.from(bytes, 'base64');
  expect(raw.length).toBe(3 * type.bytes);
  expect(Buffer.from(decodeBlocks(type, raw).buffer).toString('base64')).toBe(values);
});

test('every type that is read has golden numbers', () => {
  expect(Object.keys(golden).sort()).toEqual([...BLOCK_TYPES.values()].map(({ name }) => name.toLowerCase()).sort());
});
