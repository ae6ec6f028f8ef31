/**
 * Rows of numbers as ggml's blocks. Here are those of 32 that nothing else makes, Q5_0 and Q5_1, bit-equal to the gguf package, which rounds each step
 * to float32; Q4_0 is q4-0.ts, Q8_0 q8-0.ts, the types of 256 k-quants.ts; the way back of all of them is ggml-blocks.ts.
 */
import { f32ToF16, toBf16, toF16 } from './float.ts';
import type { TensorType } from './gguf-layout.ts';
import { quantizeQ4K, quantizeQ5K, quantizeQ6K } from './k-quants.ts';
import { quantizeQ40 } from './q4-0.ts';
import { quantizeQ80 } from './q8-0.ts';
import { bytesOf } from './safetensors.ts';

const f32 = Math.fround;
const BLOCK = 32;

/** A tensor's bytes as a type; the rows must be whole blocks of it. */
export const encoders: Record<TensorType, (values: Float32Array) => Uint8Array> = {
  f32: bytesOf,
  f16: (values) => bytesOf(toF16(values)),
  bf16: (values) => bytesOf(toBf16(values)),
  q8_0: quantizeQ80,
  q4_0: quantizeQ40,
  q5_0: symmetric,
  q5_1: withMinimum,
  q4_k: quantizeQ4K,
  q5_k: quantizeQ5K,
  q6_k: quantizeQ6K,
};

/** Q5_0: x = d · (q − 16), where the number of largest magnitude takes q = 0. */
function symmetric(values: Float32Array): Uint8Array {
  return blocks(values, 2, (at, out, to) => {
    let largest = values[at]!;
    for (let i = 1; i < BLOCK; i++) if (Math.abs(values[at + i]!) > Math.abs(largest)) largest = values[at + i]!;
    const d = f32(largest / -16);
    const inverse = d === 0 ? 0 : f32(1 / d);
    put(out, to, d);
    return (i) => Math.min(31, Math.trunc(f32(f32(values[at + i]! * inverse) + 16.5)));
  });
}

/** Q5_1: x = d · q + the least of the block. */
function withMinimum(values: Float32Array): Uint8Array {
  return blocks(values, 4, (at, out, to) => {
    const block = values.subarray(at, at + BLOCK);
    const [least, most] = [Math.min(...block), Math.max(...block)];
    const d = f32(f32(most - least) / 31);
    const inverse = d === 0 ? 0 : f32(1 / d);
    put(out, to, d);
    put(out, to + 2, least);
    return (i) => Math.min(31, Math.trunc(f32(f32(f32(values[at + i]! - least) * inverse) + 0.5)));
  });
}

/** Blocks of `head` bytes that `begin` writes, a fifth bit of each number, and the low four, the second half's above the first's. */
function blocks(values: Float32Array, head: number, begin: (at: number, out: Uint8Array, to: number) => (i: number) => number): Uint8Array {
  const qs = head + 4;
  const bytes = qs + BLOCK / 2;
  const count = values.length / BLOCK;
  const out = new Uint8Array(count * bytes);
  for (let block = 0; block < count; block++) {
    const to = block * bytes;
    const quantize = begin(block * BLOCK, out, to);
    for (let i = 0; i < BLOCK; i++) {
      const q = quantize(i);
      out[to + qs + (i % 16)]! |= (q & 15) << (i < 16 ? 0 : 4);
      out[to + head + (i >> 3)]! |= (q >> 4) << (i & 7);
    }
  }
  return out;
}

function put(out: Uint8Array, at: number, x: number): void {
  const bits = f32ToF16(x);
  out[at] = bits & 255;
  out[at + 1] = bits >>> 8;
}
