/**
 * A model's architecture as data: `config.json` of the Hugging Face folder, its keys in camelCase, checked. Models are written once in
 * transformer.ts; what makes a family is the row it has in `families` below, and nothing else anywhere.
 * Defaults of absent keys are those of transformers' config classes. What we cannot compute the same way is refused, never approximated.
 */
import type { Activation } from '../device/device.ts';
import { causalNameOf, readScoreHead } from './heads.ts';

export type RopeScaling =
  | { ropeType: 'default' }
  | { ropeType: 'linear'; factor: number }
  | { ropeType: 'llama3'; factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositionEmbeddings: number }
  | {
      ropeType: 'yarn'; factor: number; attentionFactor: number; betaFast: number; betaSlow: number; truncate: boolean;
      originalMaxPositionEmbeddings: number;
    };

export type ModelConfig = {
  architecture: string;
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  hiddenAct: Activation;
  maxPositionEmbeddings: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling: RopeScaling;
  tieWordEmbeddings: boolean;
  initializerRange: number;
  /** Rows of the score head that a classifier or reward model has instead of the LM head; null of a language model. */
  numLabels: number | null;
  /** From here on: what the family and its flags come to. Bias on q, k, v; on o; on the MLP's three; RMSNorm on each head's q and k. */
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  qkNorm: boolean;
};

type Family = {
  modelType: string;
  qkvBias: (flag: Flag) => boolean;
  outputBias: (flag: Flag) => boolean;
  mlpBias: (flag: Flag) => boolean;
  qkNorm: boolean;
  /** Of an absent head_dim; null: hidden_size / num_attention_heads. */
  headDim: number | null;
};
type Flag = (key: string) => boolean;

const no = () => false;
const attentionBias = (flag: Flag) => flag('attention_bias');

/** One row a family, by the name in `architectures`. */
const families: Record<string, Family> = {
  LlamaForCausalLM: { modelType: 'llama', qkvBias: attentionBias, outputBias: attentionBias, mlpBias: (flag) => flag('mlp_bias'), qkNorm: false, headDim: null },
  Qwen2ForCausalLM: { modelType: 'qwen2', qkvBias: () => true, outputBias: no, mlpBias: no, qkNorm: false, headDim: null },
  Qwen3ForCausalLM: { modelType: 'qwen3', qkvBias: attentionBias, outputBias: attentionBias, mlpBias: no, qkNorm: true, headDim: 128 },
};

/** @param where the file, for error sentences, e.g. `config.json` */
export function parseModelConfig(config: Record<string, unknown>, where: string): ModelConfig {
  const [architecture, family] = familyOf(config, where);
  const fail = (text: string): never => {
    throw new Error(`${where}: ${text}`);
  };
  /** A positive number; an absent or null one takes the fallback, and is an error without one. */
  const number = (key: string, fallback?: number, source = config): number => {
    const value = source[key] ?? fallback;
    if (value === undefined) return fail(`${key} is missing; a ${family.modelType} config needs it`);
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) return fail(`${key} is ${JSON.stringify(value)}, expected a positive number`);
    return value;
  };
  const integer = (key: string, fallback?: number): number => {
    const value = number(key, fallback);
    return Number.isInteger(value) ? value : fail(`${key} is ${value}, expected a whole number`);
  };
  const flag: Flag = (key) => {
    const value = config[key] ?? false;
    return typeof value === 'boolean' ? value : fail(`${key} is ${JSON.stringify(value)}, expected true or false`);
  };

  const hiddenSize = integer('hidden_size');
  const numAttentionHeads = integer('num_attention_heads');
  const numKeyValueHeads = integer('num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) fail(`num_attention_heads (${numAttentionHeads}) is not a multiple of num_key_value_heads (${numKeyValueHeads})`);
  if (config['head_dim'] == null && family.headDim === null && hiddenSize % numAttentionHeads !== 0) {
    fail(`hidden_size (${hiddenSize}) is not a multiple of num_attention_heads (${numAttentionHeads}), and head_dim is not given`);
  }
  const headDim = integer('head_dim', family.headDim ?? hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) fail(`head_dim (${headDim}) is odd; rotary embeddings turn pairs`);

  const act = config['hidden_act'] ?? 'silu';
  if (act !== 'silu' && act !== 'gelu_pytorch_tanh') fail(`hidden_act is ${JSON.stringify(act)}; supported are silu and gelu_pytorch_tanh`);
  refuseSlidingWindow(config, fail);

  const maxPositionEmbeddings = integer('max_position_embeddings', 2048);
  const { ropeTheta, ropeScaling } = parseRope(config, maxPositionEmbeddings, number, fail);
  return {
    architecture,
    modelType: family.modelType,
    vocabSize: integer('vocab_size'),
    hiddenSize,
    intermediateSize: integer('intermediate_size'),
    numHiddenLayers: integer('num_hidden_layers'),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    hiddenAct: act as Activation,
    maxPositionEmbeddings,
    rmsNormEps: number('rms_norm_eps', 1e-6),
    ropeTheta,
    ropeScaling,
    tieWordEmbeddings: flag('tie_word_embeddings'),
    initializerRange: number('initializer_range', 0.02),
    numLabels: causalNameOf(architecture) === null ? null : readScoreHead(config).labels.length,
    qkvBias: family.qkvBias(flag),
    outputBias: family.outputBias(flag),
    mlpBias: family.mlpBias(flag),
    qkNorm: family.qkNorm,
  };
}

function familyOf(config: Record<string, unknown>, where: string): [string, Family] {
  const known = Object.keys(families);
  const listed = Array.isArray(config['architectures']) ? String(config['architectures'][0]) : null;
  const named = listed ?? known.find((name) => families[name]!.modelType === config['model_type']);
  const family = named === undefined ? undefined : families[causalNameOf(named) ?? named];
  if (named !== undefined && family) return [named, family];
  if (listed === null && config['model_type'] == null) throw new Error(`${where}: architectures and model_type are missing; supported are ${known.join(', ')}`);
  const wanted = listed ?? String(config['model_type']);
  throw new Error(`${where}: architecture ${wanted} is not supported; the nearest supported one is ${nearest(wanted, known)} (all: ${known.join(', ')})`);
}

/** The name that shares the longest run of first letters, then the fewest edits: Qwen2MoeForCausalLM → Qwen2ForCausalLM. */
function nearest(name: string, known: string[]): string {
  const score = (other: string) => {
    let common = 0;
    while (common < Math.min(name.length, other.length) && name[common]!.toLowerCase() === other[common]!.toLowerCase()) common++;
    return common * 1000 - Math.abs(name.length - other.length);
  };
  return known.reduce((best, other) => (score(other) > score(best) ? other : best));
}

function refuseSlidingWindow(config: Record<string, unknown>, fail: (text: string) => never): void {
  if (config['use_sliding_window'] === true) fail('use_sliding_window is true; sliding-window attention is not supported yet, only full attention');
  const layerTypes = config['layer_types'];
  if (!Array.isArray(layerTypes)) return;
  const other = layerTypes.find((type) => type !== 'full_attention');
  if (other !== undefined) fail(`layer_types names ${JSON.stringify(other)}; only full_attention is supported`);
}

/** transformers 5 keeps rope_theta and the scaling in rope_parameters; before that they were rope_theta and rope_scaling. */
function parseRope(
  config: Record<string, unknown>, maxPositionEmbeddings: number,
  number: (key: string, fallback?: number, source?: Record<string, unknown>) => number, fail: (text: string) => never,
): { ropeTheta: number; ropeScaling: RopeScaling } {
  const key = config['rope_parameters'] != null ? 'rope_parameters' : 'rope_scaling';
  const scaling = (config[key] ?? {}) as Record<string, unknown>;
  if (typeof scaling !== 'object' || Array.isArray(scaling)) fail(`${key} is ${JSON.stringify(scaling)}, expected an object`);
  const ropeTheta = scaling['rope_theta'] != null ? number('rope_theta', undefined, scaling) : number('rope_theta', 10000);
  const partial = scaling['partial_rotary_factor'] ?? config['partial_rotary_factor'] ?? 1;
  if (partial !== 1) fail(`partial_rotary_factor is ${JSON.stringify(partial)}; only 1 is supported`);

  const type = scaling['rope_type'] ?? scaling['type'] ?? 'default';
  const of = (name: string, fallback?: number) => number(name, fallback, scaling);
  if (type === 'default') return { ropeTheta, ropeScaling: { ropeType: 'default' } };
  if (type === 'linear') return { ropeTheta, ropeScaling: { ropeType: 'linear', factor: of('factor') } };
  if (type === 'llama3') {
    return {
      ropeTheta,
      ropeScaling: {
        ropeType: 'llama3', factor: of('factor'), lowFreqFactor: of('low_freq_factor'), highFreqFactor: of('high_freq_factor'),
        originalMaxPositionEmbeddings: of('original_max_position_embeddings'),
      },
    };
  }
  if (type === 'yarn') {
    const original = of('original_max_position_embeddings', maxPositionEmbeddings);
    const factor = of('factor', maxPositionEmbeddings / original);
    const mscale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
    const [all, one] = [scaling['mscale_all_dim'], scaling['mscale']];
    const attentionFactor = all && one ? mscale(of('mscale')) / mscale(of('mscale_all_dim')) : mscale(1);
    return {
      ropeTheta,
      ropeScaling: {
        ropeType: 'yarn', factor, attentionFactor: of('attention_factor', attentionFactor), betaFast: of('beta_fast', 32), betaSlow: of('beta_slow', 1),
        truncate: scaling['truncate'] !== false, originalMaxPositionEmbeddings: original,
      },
    };
  }
  return fail(`${key}.rope_type is ${JSON.stringify(type)}; supported are default, linear, llama3 and yarn`);
}

/**
 * A tokenizer must not make ids the embedding has no row for. Fewer tokens than rows is fine: rows are often padded.
 * @param tokenizerSize highest token id + 1
 */
export function checkTokenizerFits(config: ModelConfig, tokenizerSize: number, where: string): void {
  if (tokenizerSize <= config.vocabSize) return;
  throw new Error(
    `${where}: the tokenizer has ${tokenizerSize} tokens, but the model's embedding has ${config.vocabSize} rows (vocab_size); ` +
    'use the tokenizer that came with this model',
  );
}
