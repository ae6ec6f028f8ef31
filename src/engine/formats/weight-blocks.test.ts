/** Quantising against torch's and the gguf package's (fixtures/make-nf4-fixtures.py), bit for bit; reading what was written. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BLOCK_NUMBERS } from '../device/device.ts';
import { createRandom } from '../random.ts';
import { quantizeNf4 } from './nf4.ts';
import { quantizeQ40 } from './q4-0.ts';
import { weightBlocks } from './weight-blocks.ts';

type Part = 'between' | 'map' | 'mean' | 'outer' | 'scales' | 'packed' | 'decoded' | 'q4_0';
const golden = JSON.parse(readFileSync(new URL('../../../fixtures/nf4.json', import.meta.url), 'utf8')) as Record<Part, string>;
const bytes = (part: Part): Uint8Array => Uint8Array.from(Buffer.from(golden[part], 'base64'));
const floats = (part: Part): Float32Array => new Float32Array(bytes(part).buffer);
/** The numbers of the script. */
const values = Float32Array.from({ length: 600 * 64 }, (_, i) => {
  const row = Math.floor(i / 64);
  return ((((i * i * 31 + i * 7919) % 16381) - 8190) * (1 + ((row * 37) % 101)) * 2 ** ((row % 7) - 5)) / 4096;
});
values.set(floats('between'), 3 * 64);

describe('NF4', () => {
  const blocks = values.length / 64, groups = Math.ceil(blocks / 256);
  const quantised = quantizeNf4(values);
  const part = (from: number, length: number): string => Buffer.from(quantised.subarray(from, from + length)).toString('base64');

  test('is what torch makes of its definition, bit for bit: mean, map, scales of scales, scales, numbers', () => {
    expect(part(0, 4)).toBe(golden.mean);
    expect(part(4, 1024)).toBe(golden.map);
    expect(part(1028, 4 * groups)).toBe(golden.outer);
    expect(part(1028 + 4 * groups, blocks)).toBe(golden.scales);
    expect(part(1028 + 4 * groups + blocks, values.length / 2)).toBe(golden.packed);
    expect(quantised.length).toBe(1028 + 4 * groups + blocks + values.length / 2);
  });

  test('is read as torch reads it', () => {
    const decoded = floats('decoded');
    expect(weightBlocks('nf4').dequantize(quantised, values.length).subarray(0, decoded.length)).toEqual(decoded);
  });

  test('keeps zeros, and blocks that are all alike', () => {
    const { quantize, dequantize } = weightBlocks('nf4');
    const some = new Float32Array(64 * 3).fill(0.5, 64, 128);
    const read = dequantize(quantize(some), some.length);
    expect([...read.subarray(0, 64), ...read.subarray(128)].every((x) => x === 0)).toBe(true);
    const alike = new Float32Array(64 * 3).fill(-0.25);
    expect(dequantize(quantize(alike), alike.length)).toEqual(alike);
    expect(dequantize(quantize(new Float32Array(64)), 64)).toEqual(new Float32Array(64));
  });
});

test('Q4_0 is what the gguf package writes', () => {
  expect(Buffer.from(quantizeQ40(values.subarray(0, 40 * 64))).toString('base64')).toBe(golden.q4_0);
});

test.each(['int8', 'q4_0', 'nf4'] as const)('%s takes the bytes it says, and errs by half a step of a block at most', (storage) => {
  const numbers = BLOCK_NUMBERS[storage];
  const { bytes: size, quantize, dequantize } = weightBlocks(storage);
  const random = createRandom(5);
  const x = Float32Array.from({ length: numbers * 300 }, () => random.normal());
  const written = quantize(x);
  expect(written.length).toBe(size(x.length));
  const read = dequantize(written, x.length);
  // in parts of a block's largest number: a step is 1/127, 1/8, and at most 0.31 of NF4's, whose scales err a little too
  const half = { int8: 0.57 / 127, q4_0: 1.01 / 8, nf4: 0.16 }[storage];
  for (let start = 0; start < x.length; start += numbers) {
    const max = x.subarray(start, start + numbers).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let i = start; i < start + numbers; i++) expect(Math.abs(read[i]! - x[i]!)).toBeLessThanOrEqual(half * max);
  }
});
