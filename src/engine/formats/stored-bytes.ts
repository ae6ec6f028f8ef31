/** What a tensor takes where it is stored, by the name of its type: safetensors' plain ones and ggml's blocks. */
import { BLOCK_TYPES } from './ggml-blocks.ts';

/** @param dtype F32, BF16, F8_E4M3, Q8_0, … @returns bytes of that many numbers */
export function storedBytes(dtype: string, numbers: number): number {
  const block = [...BLOCK_TYPES.values()].find(({ name }) => name === dtype);
  if (block) return (numbers / block.numbers) * block.bytes;
  const bits = /^[A-Z]+(\d+)/.exec(dtype); // F32 has 32
  if (!bits) throw new Error(`stored-bytes: the size of ${dtype} is not known`);
  return (numbers * Number(bits[1])) / 8;
}
