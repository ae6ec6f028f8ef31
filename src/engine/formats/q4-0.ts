/**
 * ggml's Q4_0, written: blocks of 32 numbers along a row, a float16 scale d and 32 halves of a byte q, meaning d · (q − 8); 18 bytes a block.
 * Bit-equal to the gguf package: d is the number largest in size over −8, so that it lies at 0; x / d + 8.5 is cut to a whole number, each step
 * rounded to float32. Reading is ggml-blocks.ts.
 */
import { f32ToF16 } from './float.ts';

export const Q4_0_BLOCK = 32; // numbers
export const Q4_0_BYTES = 18; // bytes of a block

/** `values.length` must be a multiple of 32, and so must the rows it is made of. */
export function quantizeQ40(values: Float32Array): Uint8Array {
  const blocks = values.length / Q4_0_BLOCK;
  const out = new Uint8Array(blocks * Q4_0_BYTES);
  for (let block = 0; block < blocks; block++) {
    const from = block * Q4_0_BLOCK;
    let largest = 0;
    for (let i = from; i < from + Q4_0_BLOCK; i++) if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
    const d = Math.fround(largest / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const at = block * Q4_0_BYTES;
    const scale = f32ToF16(d);
    out[at] = scale & 0xff;
    out[at + 1] = scale >>> 8;
    for (let i = 0; i < Q4_0_BLOCK / 2; i++) out[at + 2 + i] = half(values[from + i]!, inverse) | (half(values[from + 16 + i]!, inverse) << 4);
  }
  return out;
}

const half = (x: number, inverse: number): number => Math.min(15, Math.trunc(Math.fround(Math.fround(x * inverse) + 8.5)));
