/**
 * What a model's weights and its cache take, by shape alone. Matrices are kept in a type, vectors in f32, as GGUF files keep them: which type a tensor gets
 * is gguf-mixture.ts's affair. Files have a header besides.
 */
import type { Precision } from '../../shared/inspection.ts';
import { bytesOfTensor, type MixtureModel, tensorType } from '../formats/gguf-mixture.ts';
import type { ModelConfig } from '../model/config.ts';
import { cacheBytes } from '../model/kv-cache.ts';
import { isRouter } from '../model/parameters.ts';
import type { Outlined } from '../model/parts.ts';

/** Of every tensor that is stored; a tied head once. */
export function weightBytes(config: ModelConfig, tensors: Outlined[], precision: Precision): number {
  const model: MixtureModel = {
    architecture: config.modelType, layers: config.numHiddenLayers, group: config.numAttentionHeads / config.numKeyValueHeads, tied: config.tieWordEmbeddings,
    experts: config.mixture?.numExperts ?? 0,
  };
  return tensors.reduce((sum, { name, module, part, shape, layer }) => {
    const type = isRouter(config, name) ? 'f32' : tensorType(precision, { name: ggufName(config, { name, module, part }), shape, layer }, model);
    return sum + bytesOfTensor(shape, type);
  }, 0);
}

/** What llama.cpp's choice of types looks at: which tensors are the head, the embedding, positions, attention's but queries, and down projections, experts' too. */
function ggufName({ names }: ModelConfig, { name, module, part }: Pick<Outlined, 'name' | 'module' | 'part'>): string {
  if (part === 'head') return 'output.weight';
  if (names.positions !== null && name === `${names.positions}.weight`) return 'position_embd.weight';
  if (part === 'embedding') return 'token_embd.weight';
  const is = (linear: string | null | undefined): boolean => linear != null && `.${module}`.endsWith(`.${linear}.weight`);
  if (is(names.qkv)) return 'attn_qkv.weight';
  if (is(names.k)) return 'attn_k.weight';
  if (is(names.v)) return 'attn_v.weight';
  if (is(names.o)) return 'attn_output.weight';
  return is(names.mixture?.down ?? names.down) ? 'ffn_down.weight' : 'ffn_up.weight';
}

/** Doublings up to the model's own context, and that. */
export function contextLengths(longest: number): number[] {
  const lengths: number[] = [];
  for (let tokens = 512; tokens < longest; tokens *= 2) lengths.push(tokens);
  return [...lengths, longest];
}

/** Bytes of one text's keys and values: as the cache here keeps them, and in f16 where a layer's window bounds what it keeps. */
export function cacheSizes(config: ModelConfig, tokens: number): { tokens: number; kept: number; windowed: number } {
  const row = config.numKeyValueHeads * config.headDim;
  const windowed = config.layers.reduce((sum, { window }) => sum + 2 * 2 * row * (window > 0 ? Math.min(window, tokens) : tokens), 0);
  return { tokens, kept: cacheBytes(config, tokens), windowed };
}
