/**
 * Frozen weights in blocks as the CUDA device keeps them (native/cuda/blocks.cuh): the bytes of formats/weight-blocks.ts in another order, not one more, so
 * that a thread reads whole words. First the numbers of all blocks, then what they are scaled by; NF4's scales stay quantised.
 */
import { nf4Sections } from '../../formats/nf4.ts';
import { BLOCK_NUMBERS, type BlockStorage } from '../device.ts';

/** Bytes of a float16. */
const HALF = 2;
/** Of ggml's blocks: bytes of the numbers. */
const BYTES = { int8: 32, q4_0: 16 };

/** @param bytes of `length` numbers, as formats/weight-blocks.ts has them */
export function layOutBlocks(storage: BlockStorage, bytes: Uint8Array, length: number): Uint8Array {
  if (storage === 'nf4') {
    const { head, outer, scales, nibbles } = nf4Sections(bytes);
    return joined([nibbles, raw(head), raw(outer), scales]);
  }
  const [count, size] = [length / BLOCK_NUMBERS[storage], BYTES[storage]];
  const out = new Uint8Array(bytes.length);
  for (let block = 0; block < count; block++) {
    const from = block * (HALF + size);
    out.set(bytes.subarray(from + HALF, from + HALF + size), block * size);
    out[count * size + HALF * block] = bytes[from];
    out[count * size + HALF * block + 1] = bytes[from + 1];
  }
  return out;
}

const raw = (x: Float32Array): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

function joined(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
