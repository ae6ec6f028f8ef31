/**
 * How a frozen base is kept in memory: as it is stored, wider, narrower, or in blocks (QLoRA, Dettmers et al. 2023). Which matrices are in blocks is
 * decided here, once, for loading, merging and the estimate. What blocks mean is formats/weight-blocks.ts.
 */
import type { BaseWeights } from '../../shared/recipe.ts';
import { BLOCK_NUMBERS, type BlockStorage } from '../device/device.ts';
import type { ModelConfig } from './config.ts';
import { isRouter } from './parameters.ts';

/** What is asked of a model's frozen matrices; 'stored' is each as its file has it. q8_0 is for decoding alone, int8 the same blocks for training. */
export type WeightStorage = 'stored' | 'f32' | 'bf16' | 'q8_0' | BlockStorage;
/** What a matrix then is. */
export type KeptStorage = Exclude<WeightStorage, 'stored'>;

const STORAGES: Record<BaseWeights, WeightStorage> = { stored: 'stored', f32: 'f32', bf16: 'bf16', q8_0: 'int8', q4_0: 'q4_0', nf4: 'nf4' };
/** A recipe from before there was a choice names none. */
export const storageOf = (base: BaseWeights | undefined): WeightStorage => STORAGES[base ?? 'stored'];

/** What files name their types, as they are kept; every other is widened to f32. */
const AS_STORED: Record<string, KeptStorage> = { BF16: 'bf16', Q8_0: 'int8', Q4_0: 'q4_0' };

/**
 * `dtype`: what the file stores the tensor as. Four bits are for the decoder's matrices: embedding and head stay as stored, as bitsandbytes leaves them. A matrix
 * whose rows are no whole blocks does, too.
 */
export function keptStorage(config: ModelConfig, name: string, shape: number[], dtype: string | undefined, wanted: WeightStorage): KeptStorage {
  if (shape.length < 2 || isRouter(config, name)) return 'f32'; // norms and biases are small and their kernels take f32
  const stored = AS_STORED[dtype ?? ''] ?? 'f32';
  if (wanted === 'stored') return stored;
  if (wanted === 'q8_0') return shape[1]! % 32 === 0 ? wanted : 'f32'; // llama.cpp keeps such rows so, too
  if (wanted === 'f32' || wanted === 'bf16') return wanted;
  const isInside = wanted === 'int8' || name.startsWith(`${config.names.layers}.`);
  return isInside && shape[1]! % BLOCK_NUMBERS[wanted] === 0 ? wanted : stored;
}
