/** Frozen weights in blocks as the GPU keeps them: of each block its scale as f32, then its bytes; whole words, where ggml's blocks are no multiple of four bytes. */
import { f16ToF32 } from '../../formats/float.ts';
import { nf4Parts } from '../../formats/nf4.ts';
import { BLOCK_NUMBERS, type BlockStorage } from '../device.ts';

/** Bytes of a block but its scale. */
const BYTES: Record<BlockStorage, number> = { int8: 32, q4_0: 16, nf4: 32 };
/** Bytes of a float16. */
const HALF = 2;

export const packedBytes = (storage: BlockStorage, length: number): number => (length / BLOCK_NUMBERS[storage]) * (4 + BYTES[storage]);

/** @param bytes as formats/weight-blocks.ts has them */
export function packBlocks(storage: BlockStorage, bytes: Uint8Array, length: number): Uint8Array {
  const [count, size] = [length / BLOCK_NUMBERS[storage], BYTES[storage]];
  const out = new Uint8Array(packedBytes(storage, length));
  const scales = new Float32Array(out.buffer);
  const nf4 = storage === 'nf4' ? nf4Parts(bytes) : null;
  for (let block = 0; block < count; block++) {
    const from = block * (HALF + size);
    scales[(block * (4 + size)) / 4] = nf4 ? nf4.scales[block] : f16ToF32(bytes[from] | (bytes[from + 1] << 8));
    const body = nf4 ? nf4.nibbles.subarray(block * size, (block + 1) * size) : bytes.subarray(from + HALF, from + HALF + size);
    out.set(body, block * (4 + size) + 4);
  }
  return out;
}
