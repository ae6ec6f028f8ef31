/**
 * What everybody who writes or reads GGUF agrees on: numbers of value types, of tensor types and of kinds of files, and the order of
 * rotary rows. It touches no file and knows no family.
 */

/** What a whole file is called by; of some the tensors have several types (gguf-mixture.ts). */
export type GgufType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q4_k_m';
/** What one tensor is stored as. */
export type TensorType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q4_0' | 'q5_0' | 'q5_1' | 'q4_k' | 'q5_k' | 'q6_k';

/** GGUF's numbers of value types. */
export const U8 = 0,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  BOOL = 7,
  STRING = 8,
  ARRAY = 9;
export const ALIGNMENT = 32; // bytes

/** ggml's number of a tensor type; numbers of a row that make a block, and the block's bytes. */
export const TENSOR_TYPE: Record<TensorType, { number: number; block: number; bytes: number }> = {
  f32: { number: 0, block: 1, bytes: 4 },
  f16: { number: 1, block: 1, bytes: 2 },
  bf16: { number: 30, block: 1, bytes: 2 },
  q4_0: { number: 2, block: 32, bytes: 18 },
  q5_0: { number: 6, block: 32, bytes: 22 },
  q5_1: { number: 7, block: 32, bytes: 24 },
  q8_0: { number: 8, block: 32, bytes: 34 },
  q4_k: { number: 12, block: 256, bytes: 144 },
  q5_k: { number: 13, block: 256, bytes: 176 },
  q6_k: { number: 14, block: 256, bytes: 210 },
};

/** llama.cpp's number of a file that is mostly of a type. */
export const FILE_TYPE: Record<GgufType, number> = { f32: 0, f16: 1, q4_0: 2, q8_0: 7, q4_k_m: 15, bf16: 32 };

/**
 * Rows of each head in llama.cpp's rotary order: Hugging Face rotates row i with row i + D/2, ggml's Llama rotates neighbours,
 * so row (half, i) goes to (i, half).
 */
export function interleave(values: Float32Array, shape: number[], heads: number): Float32Array {
  return transposeHeadRows(values, shape, heads, 2, shape[0]! / heads / 2);
}

/** Hugging Face's order again: the inverse of interleave. */
export function deinterleave<T extends Float32Array | Uint8Array>(values: T, shape: number[], heads: number): T {
  return transposeHeadRows(values, shape, heads, shape[0]! / heads / 2, 2);
}

/** Rows of a fused qkv, which lie as q, k and v of each head, as all q, all k, all v. */
export function headsToParts(values: Float32Array, heads: number): Float32Array {
  return transposeHeadRows(values, [3 * heads, values.length / (3 * heads)], 1, heads, 3);
}

/** The inverse of headsToParts. */
export function partsToHeads<T extends Float32Array | Uint8Array>(values: T, heads: number): T {
  return transposeHeadRows(values, [3 * heads, values.length / (3 * heads)], 1, 3, heads);
}

/** Each head's rows, taken for a matrix of `outer` by `inner` rows, in the order of its transpose. A row is numbers, or bytes. */
function transposeHeadRows<T extends Float32Array | Uint8Array>(values: T, shape: number[], heads: number, outer: number, inner: number): T {
  const out = values.slice() as T;
  const columns = values.length / shape[0]!;
  for (let head = 0; head < heads; head++) {
    const first = head * outer * inner;
    for (let i = 0; i < outer; i++) {
      for (let j = 0; j < inner; j++) {
        const from = (first + i * inner + j) * columns;
        out.set(values.subarray(from, from + columns), (first + j * outer + i) * columns);
      }
    }
  }
  return out;
}
