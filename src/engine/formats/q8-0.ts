/**
 * ggml's Q8_0: blocks of 32 numbers along a row, each a float16 scale d and 32 signed bytes q, meaning d · q; 34 bytes a block.
 * Bit-equal to quantize_row_q8_0_ref of ggml: d = max|x| / 127 and x / d in float32, rounded half away from zero.
 */
import { f16ToF32, f32ToF16 } from './float.ts';

export const Q8_0_BLOCK = 32; // numbers
export const Q8_0_BYTES = 34; // bytes of a block

/** `values.length` must be a multiple of 32, and so must the rows it is made of. */
export function quantizeQ80(values: Float32Array): Uint8Array {
  const blocks = values.length / Q8_0_BLOCK;
  const out = new Uint8Array(blocks * Q8_0_BYTES);
  for (let block = 0; block < blocks; block++) {
    const from = block * Q8_0_BLOCK;
    let max = 0;
    for (let i = 0; i < Q8_0_BLOCK; i++) max = Math.max(max, Math.abs(values[from + i]));
    const d = Math.fround(max / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const at = block * Q8_0_BYTES;
    const scale = f32ToF16(d);
    out[at] = scale & 0xff;
    out[at + 1] = scale >>> 8;
    for (let i = 0; i < Q8_0_BLOCK; i++) {
      const x = Math.fround(values[from + i] * inverse);
      const magnitude = Math.floor(Math.abs(x) + 0.5);
      out[at + 2 + i] = x < 0 ? -magnitude : magnitude; // a Uint8Array keeps the low byte, which is the int8
    }
  }
  return out;
}

/** The numbers the blocks mean. */
export function dequantizeQ80(bytes: Uint8Array): Float32Array {
  const blocks = bytes.length / Q8_0_BYTES;
  const out = new Float32Array(blocks * Q8_0_BLOCK);
  for (let block = 0; block < blocks; block++) {
    const at = block * Q8_0_BYTES;
    const d = f16ToF32(bytes[at] | (bytes[at + 1] << 8));
    for (let i = 0; i < Q8_0_BLOCK; i++) out[block * Q8_0_BLOCK + i] = d * ((bytes[at + 2 + i] << 24) >> 24);
  }
  return out;
}
