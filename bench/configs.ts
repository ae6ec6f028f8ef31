/** The shapes everything is measured at, models of them with weights that cost nothing to draw, and how many operations a token takes. */
import type { Device } from '../src/engine/device/device.ts';
import { parseModelConfig } from '../src/engine/model/config.ts';
import { type LanguageModel, type LoadOptions, loadLanguageModel } from '../src/engine/model/language-model.ts';
import { buildWeights } from '../src/engine/model/parameters.ts';

/**
 * C hidden, L layers, H heads, K key/value heads, F intermediate, V vocab, T tokens a sequence, B sequences a step. M is SmolLM2-135M's shape.
 * frozen: too large to be trained whole, its weights are kept so, under an adapter.
 */
export type Size = { C: number; L: number; H: number; K: number; F: number; V: number; T: number; B: number; frozen?: 'bf16' };
export const sizes: Record<string, Size> = {
  D: { C: 192, L: 6, H: 6, K: 6, F: 512, V: 4096, T: 256, B: 16 },
  S: { C: 288, L: 6, H: 6, K: 6, F: 768, V: 32000, T: 256, B: 8 },
  M: { C: 576, L: 30, H: 9, K: 3, F: 1536, V: 49152, T: 512, B: 2 },
};

/** What a device that is not the native one is measured at besides: one that even software in a graphics card's place does in seconds, and Llama-3.2-1B's shape. */
export const deviceSizes: Record<string, Size> = {
  XS: { C: 64, L: 2, H: 4, K: 2, F: 160, V: 512, T: 64, B: 2 },
  ...sizes,
  '1B': { C: 2048, L: 16, H: 32, K: 8, F: 8192, V: 128256, T: 1024, B: 1, frozen: 'bf16' },
};

/** Shapes of no weight under the same names, for createToyBench (measure.ts). For a whole process: there is no way back. */
export function shrinkSizes(): void {
  for (const size of Object.values(sizes)) Object.assign(size, { C: 32, L: 1, H: 2, K: 1, F: 64, V: 1024, T: 16, B: 2 });
}

/** What a frozen weight may be kept as, and its bytes (q8_0: 34 for 32 of them): gemm, sample and peers measure all of them. */
/** Of those models keep for training, and for decoding. */
export type WeightStorage = 'f32' | 'bf16' | 'q8_0';
export const storages: Record<WeightStorage, number> = { f32: 4, bf16: 2, q8_0: 34 / 32 };
export const storageKinds = Object.keys(storages) as WeightStorage[];

export async function createModel(device: Device, { C, L, H, K, F, V }: Size, options: Partial<LoadOptions> & Pick<LoadOptions, 'trainable'>): Promise<LanguageModel> {
  const config = {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: C, num_hidden_layers: L, num_attention_heads: H, num_key_value_heads: K,
    intermediate_size: F, vocab_size: V, max_position_embeddings: 4096, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: true,
  };
  const tensors = new Map<string, { shape: number[]; file: string }>();
  buildWeights(parseModelConfig(config, 'bench'), (name, shape) => {
    tensors.set(name, { shape, file: 'bench' });
    return undefined as never; // only names and shapes are asked for
  });
  return loadLanguageModel(device, {
    folder: 'bench', config, tensors,
    read: async (name) => {
      const { shape } = tensors.get(name)!;
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (shape.length === 1) return values.fill(1);
      for (let i = 0, x = name.length + 1; i < values.length; i++) values[i] = (((x = (Math.imul(x, 1664525) + 1013904223) | 0) >> 8) / 2 ** 23) * 0.035; // uniform, deviation 0.02
      return values;
    },
  }, { storage: 'f32', ...options });
}

/** Weights that tokens are multiplied with, the head among them. */
export function matmulWeights({ C, L, H, K, F, V }: Size): number {
  return L * (C * C * 2 + 2 * C * (C / H) * K + 3 * C * F) + V * C;
}

/** Floating point operations of attention a token, forward, over the causal half of sequences of T. */
export function attentionFlops({ C, L }: Size, T: number): number {
  return 2 * T * C * L;
}

/** Of an adapter of rank r on every linear of the decoder. */
export function loraWeights({ C, L, H, K, F }: Size, r: number): number {
  const KD = (C / H) * K;
  return L * r * (2 * (C + C) + 2 * (C + KD) + 3 * (C + F));
}
