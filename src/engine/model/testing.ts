/** What the tests of model/ and optim/ share: tiny models drawn from a seed, batches, and errors. Not part of the engine. */
import type { Batch } from '../data/batch.ts';
import type { Device } from '../device/device.ts';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from './language-model.ts';
import type { TensorFolder } from './parameters.ts';

/** A config.json of a llama with 2 layers, 4 query heads on 2 key/value heads of 8, and 50 tokens. */
export const tinyConfig: Record<string, unknown> = {
  architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: 50, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2,
  num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 128, rms_norm_eps: 1e-5, tie_word_embeddings: true,
  // Ten times transformers' default, so that attention and activations are far from flat.
  initializer_range: 0.2,
};

/** A folder with nothing but its config, for drawn weights. */
export const configFolder = (config: Record<string, unknown> = tinyConfig): TensorFolder => ({
  folder: 'tiny', config, tensors: new Map(), read: (name) => Promise.reject(new Error(`tiny has no ${name}`)),
});

export function tinyModel(device: Device, options: Partial<LoadOptions> = {}, config: Record<string, unknown> = {}): Promise<LanguageModel> {
  return loadLanguageModel(device, configFolder({ ...tinyConfig, ...config }), { storage: 'f32', trainable: 'all', randomInit: true, seed: 1, ...options });
}

/** Sequences end to end, each predicting all of its next tokens. */
export function packed(sequences: number[][]): Batch {
  const batch = { tokens: [] as number[], positions: [] as number[], segments: [] as Batch['segments'], rows: [] as number[], targets: [] as number[], sequences: [] as number[] };
  sequences.forEach((ids, s) => {
    const start = batch.tokens.length;
    batch.segments.push({ start, length: ids.length, prefix: null });
    ids.forEach((id, i) => {
      batch.tokens.push(id);
      batch.positions.push(i);
      if (i + 1 === ids.length) return;
      batch.rows.push(start + i);
      batch.targets.push(ids[i + 1]!);
      batch.sequences.push(s);
    });
  });
  return {
    tokens: Int32Array.from(batch.tokens), positions: Int32Array.from(batch.positions), segments: batch.segments,
    rows: Int32Array.from(batch.rows), targets: Int32Array.from(batch.targets), sequences: Int32Array.from(batch.sequences),
    sequenceCount: sequences.length,
  };
}

/** max |got − want| / max |want|; infinite when the lengths differ or a number is not one. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity;
  let difference = 0, size = 0;
  for (let i = 0; i < got.length; i++) {
    if (!Number.isFinite(got[i])) return Infinity;
    difference = Math.max(difference, Math.abs(got[i]! - want[i]!));
    size = Math.max(size, Math.abs(want[i]!));
  }
  return size === 0 ? difference : difference / size;
}

/** Every gradient by parameter name. */
export async function gradients(model: LanguageModel): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for (const { name, grad } of model.parameters) all.set(name, (await model.device.read(grad!)) as Float32Array);
  return all;
}
