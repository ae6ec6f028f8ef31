/**
 * What a model's weights and its cache take, by shape alone. Matrices are kept in a type (in f16 where their rows are no whole blocks), vectors in
 * f32, as GGUF files keep them; which type ggml's mixed ones give a tensor follows llama.cpp's llama_tensor_get_type. Files have a header besides.
 */
import type { Precision } from '../../shared/inspection.ts';
import type { ModelConfig } from '../model/config.ts';
import { cacheBytes } from '../model/kv-cache.ts';
import { isRouter } from '../model/parameters.ts';
import type { Outlined } from '../model/parts.ts';

type Block = { numbers: number; bytes: number };
const PLAIN = { f32: { numbers: 1, bytes: 4 }, f16: { numbers: 1, bytes: 2 } };
const Q4_0: Block = { numbers: 32, bytes: 18 };
const Q5_0: Block = { numbers: 32, bytes: 22 };
const Q8_0: Block = { numbers: 32, bytes: 34 };
const Q4_K: Block = { numbers: 256, bytes: 144 };
const Q6_K: Block = { numbers: 256, bytes: 210 };
/** What llama.cpp takes where rows are no whole blocks of 256. */
const SMALLER = new Map([[Q4_K, Q5_0], [Q6_K, Q8_0]]);

/** Of every tensor that is stored; a tied head once. */
export function weightBytes(config: ModelConfig, tensors: Outlined[], precision: Precision): number {
  return tensors.reduce((sum, tensor) => {
    const { numbers, bytes } = typeOf(config, tensor, precision);
    return sum + (tensor.shape.reduce((a, b) => a * b, 1) / numbers) * bytes;
  }, 0);
}

function typeOf(config: ModelConfig, tensor: Outlined, precision: Precision): Block {
  if (tensor.shape.length < 2 || precision === 'f32' || isExact(config, tensor)) return PLAIN.f32;
  if (precision === 'bf16' || precision === 'f16') return PLAIN.f16; // of the same size
  const columns = tensor.shape.at(-1)!;
  const wanted = precision === 'q8_0' ? Q8_0 : precision === 'q4_0' ? fourBits(config, tensor) : mixed(config, tensor);
  if (columns % wanted.numbers === 0) return wanted;
  const instead = SMALLER.get(wanted);
  return instead && columns % instead.numbers === 0 ? instead : PLAIN.f16;
}

/** Routers and embeddings of positions are never rounded. */
const isExact = (config: ModelConfig, { name }: Outlined) => isRouter(config, name) || (config.names.positions !== null && name === `${config.names.positions}.weight`);

/** The head, or the embedding that is also the head. */
const isOutput = ({ tieWordEmbeddings }: ModelConfig, { part }: Outlined) => part === 'head' || (tieWordEmbeddings && part === 'embedding');

const fourBits = (config: ModelConfig, tensor: Outlined): Block => (isOutput(config, tensor) ? Q6_K : Q4_0);

function mixed(config: ModelConfig, tensor: Outlined): Block {
  const { names, numHiddenLayers: L } = config;
  if (isOutput(config, tensor)) return Q6_K;
  if (tensor.layer === null) return Q4_K;
  const generous = [names.qkv ?? names.v, names.mixture?.down ?? names.down].some((module) => `.${tensor.module}`.endsWith(`.${module}.weight`));
  return generous && moreBits(tensor.layer, L) ? Q6_K : Q4_K;
}

/** The first and the last eighth of the layers, and every third between them. */
const moreBits = (layer: number, layers: number): boolean => {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};

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
