/**
 * A model's architecture as data: `config.json` of the Hugging Face folder, its keys in camelCase, checked. Models are written once in
 * transformer.ts; what makes a family is the row it has in families.ts, and nothing else anywhere.
 * Defaults of absent keys are those of transformers' config classes. What we cannot compute the same way is refused, never approximated.
 */
import { brief } from '../../shared/brief.ts';
import type { Activation, PlainActivation } from '../device/device.ts';
import { families, type Family, type Names, type Reader, type Traits } from './families.ts';
import { isScorer, readScoreHead, stemOf } from './heads.ts';

export type RopeScaling =
  | { ropeType: 'default' }
  | { ropeType: 'linear'; factor: number }
  | { ropeType: 'llama3'; factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositionEmbeddings: number }
  | {
      ropeType: 'yarn'; factor: number; attentionFactor: number; betaFast: number; betaSlow: number; truncate: boolean;
      originalMaxPositionEmbeddings: number;
    }
  /** Transformers' frequencies change with every length beyond maxPositionEmbeddings; only those up to it are computed. */
  | { ropeType: 'dynamic'; maxPositionEmbeddings: number }
  /** Two tables: texts longer than originalMaxPositionEmbeddings turn by the long one. */
  | { ropeType: 'longrope'; shortFactor: number[]; longFactor: number[]; attentionFactor: number; originalMaxPositionEmbeddings: number };

export type Rope = { theta: number; scaling: RopeScaling };

export type ModelConfig = Traits & {
  architecture: string;
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  /** Of RMSNorm or LayerNorm. */
  normEps: number;
  /** The first dims of a head that rotary embeddings turn. */
  rotaryDims: number;
  /** `layers[i].rope` names one of them. */
  ropes: Rope[];
  tieWordEmbeddings: boolean;
  initializerRange: number;
  /** Rows of the score head that a classifier or reward model has instead of the LM head; null of a language model. */
  numLabels: number | null;
  names: Names;
};

/** Activations by their names in config.json: of a gated MLP, of one without a gate. */
const GATED = { silu: 'silu', gelu_pytorch_tanh: 'gelu_pytorch_tanh', gelu_new: 'gelu_pytorch_tanh' } as const;
const PLAIN = { gelu: 'gelu', gelu_pytorch_tanh: 'gelu_pytorch_tanh', gelu_new: 'gelu_pytorch_tanh' } as const;

/** A count beyond is a mistake, and would take memory before any tensor is looked at. */
const MOST_LAYERS = 10_000;

/** @param where the file, for error sentences, e.g. `config.json` */
export function parseModelConfig(config: Record<string, unknown>, where: string): ModelConfig {
  try {
    return readModelConfig(config, where);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(brief(message.startsWith(where) ? message : `${where}: it cannot be understood (${message}); download it again`), { cause: error });
  }
}

function readModelConfig(config: Record<string, unknown>, where: string): ModelConfig {
  const [architecture, family] = familyOf(config, where);
  const spelled = (key: string) => family.keys?.[key] ?? key;
  const fail = (text: string): never => {
    throw new Error(`${where}: ${text}`);
  };
  /** A positive number; an absent or null one takes the fallback, and is an error without one. */
  const number = (name: string, fallback?: number, source = config): number => {
    const key = spelled(name);
    const value = source[key] ?? source[name] ?? fallback;
    if (value === undefined) return fail(`${key} is missing; a ${family.modelType} config needs it`);
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) return fail(`${key} is ${JSON.stringify(value)}, expected a positive number`);
    return value;
  };
  const integer = (key: string, fallback?: number): number => {
    const value = number(key, fallback);
    return Number.isInteger(value) ? value : fail(`${spelled(key)} is ${value}, expected a whole number`);
  };
  const flag = (key: string, fallback = false): boolean => {
    const value = config[key] ?? fallback;
    return typeof value === 'boolean' ? value : fail(`${key} is ${JSON.stringify(value)}, expected true or false`);
  };

  const hiddenSize = integer('hidden_size');
  const numHiddenLayers = integer('num_hidden_layers');
  if (numHiddenLayers > MOST_LAYERS) fail(`${spelled('num_hidden_layers')} is ${numHiddenLayers}; no model has more than ${MOST_LAYERS}`);
  const numAttentionHeads = integer('num_attention_heads');
  const numKeyValueHeads = integer('num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) fail(`num_attention_heads (${numAttentionHeads}) is not a multiple of num_key_value_heads (${numKeyValueHeads})`);
  if (config['head_dim'] == null && family.headDim === null && hiddenSize % numAttentionHeads !== 0) {
    fail(`hidden_size (${hiddenSize}) is not a multiple of num_attention_heads (${numAttentionHeads}), and head_dim is not given`);
  }
  const headDim = integer('head_dim', family.headDim ?? hiddenSize / numAttentionHeads);
  const reader: Reader = {
    layers: numHiddenLayers, hiddenSize, number, flag, fail,
    raw: (key) => config[key],
    optional: (key, fallback) => (config[key] === null || (config[key] === undefined && fallback === undefined) ? 0 : number(key, fallback)),
  };
  const traits: Omit<Traits, 'hiddenAct'> & { hiddenAct: Traits['hiddenAct'] | null } = {
    hiddenAct: null, qkvBias: false, outputBias: false, mlpBias: false, qkNorm: null, norm: 'rms', normOffset: 0, gated: true,
    parallel: false, sharedNorm: false, fusedQkv: 'parts', transposed: false, embeddingScale: 1, attentionScale: null, attentionCap: 0, logitCap: 0,
    layers: Array.from({ length: numHiddenLayers }, () => ({ window: 0, rope: 0 })), mixture: null,
    ...family.traits(reader),
  };

  const act = config[spelled('hidden_act')] ?? family.hiddenAct;
  if (traits.hiddenAct === null) {
    const known: Record<string, Activation | PlainActivation> = traits.gated ? GATED : PLAIN;
    if (typeof act !== 'string' || !Object.hasOwn(known, act)) fail(`${spelled('hidden_act')} is ${JSON.stringify(act)}; supported are ${Object.keys(known).join(', ')}`);
    traits.hiddenAct = known[act as string]!;
  }

  const maxPositionEmbeddings = integer('max_position_embeddings', 2048);
  const { ropes, partial } = parseRopes(config, family, maxPositionEmbeddings, number, fail);
  const rotaryDims = Math.trunc(headDim * partial);
  if (rotaryDims % 2 !== 0 && family.names.positions === null) {
    fail(partial === 1 ? `head_dim (${headDim}) is odd; rotary embeddings turn pairs` : `${partial} of head_dim (${headDim}) is ${rotaryDims}, which is odd; rotary embeddings turn pairs`);
  }
  for (const { scaling } of ropes) {
    if (scaling.ropeType !== 'longrope' || (scaling.shortFactor.length === rotaryDims / 2 && scaling.longFactor.length === rotaryDims / 2)) continue;
    fail(`short_factor and long_factor of longrope have ${scaling.shortFactor.length} and ${scaling.longFactor.length} numbers, expected ${rotaryDims / 2} (half of what is turned of a head)`);
  }
  return {
    ...traits,
    hiddenAct: traits.hiddenAct!,
    architecture,
    modelType: family.modelType,
    vocabSize: integer('vocab_size'),
    hiddenSize,
    intermediateSize: integer('intermediate_size', traits.gated ? undefined : 4 * hiddenSize),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    maxPositionEmbeddings,
    normEps: number('rms_norm_eps', traits.norm === 'rms' ? 1e-6 : 1e-5),
    rotaryDims,
    ropes,
    tieWordEmbeddings: flag('tie_word_embeddings', family.tied),
    initializerRange: number('initializer_range', 0.02),
    numLabels: isScorer(architecture) ? readScoreHead(config).labels.length : null,
    names: family.names,
  };
}

function familyOf(config: Record<string, unknown>, where: string): [string, Family] {
  const known = Object.keys(families);
  const all = known.map((stem) => (stem === 'GPT2' ? 'GPT2LMHeadModel' : `${stem}ForCausalLM`));
  const listed = Array.isArray(config['architectures']) ? String(config['architectures'][0]) : null;
  const named = listed ?? all[known.findIndex((stem) => families[stem]!.modelType === config['model_type'])];
  const stem = named === undefined ? null : stemOf(named);
  if (named !== undefined && stem !== null && Object.hasOwn(families, stem)) return [named, families[stem]!];
  if (listed === null && config['model_type'] == null) throw new Error(`${where}: architectures and model_type are missing; supported are ${all.join(', ')}`);
  const wanted = listed ?? String(config['model_type']);
  throw new Error(`${where}: architecture ${wanted} is not supported; the nearest supported one is ${nearest(wanted, all)} (all: ${all.join(', ')})`);
}

/** The name that shares the longest run of first letters, then the fewest edits: Qwen3NextForCausalLM → Qwen3MoeForCausalLM. */
function nearest(name: string, known: string[]): string {
  const score = (other: string) => {
    let common = 0;
    while (common < Math.min(name.length, other.length) && name[common]!.toLowerCase() === other[common]!.toLowerCase()) common++;
    return common * 1000 - Math.abs(name.length - other.length);
  };
  return known.reduce((best, other) => (score(other) > score(best) ? other : best));
}

type ReadNumber = (key: string, fallback?: number, source?: Record<string, unknown>) => number;

/**
 * transformers 5 keeps rope_theta and the scaling in rope_parameters, for Gemma 3 once a layer type; before that they were rope_theta and
 * rope_scaling, and Gemma 3's sliding layers had rope_local_base_freq.
 */
function parseRopes(
  config: Record<string, unknown>, family: Family, maxPositionEmbeddings: number, number: ReadNumber, fail: (text: string) => never,
): { ropes: Rope[]; partial: number } {
  const key = config['rope_parameters'] != null ? 'rope_parameters' : 'rope_scaling';
  const found = (config[key] ?? {}) as Record<string, unknown>;
  if (typeof found !== 'object' || Array.isArray(found)) fail(`${key} is ${JSON.stringify(found)}, expected an object`);
  const nested = (type: string) => found[type] as Record<string, unknown> | undefined;
  const full = nested('full_attention') ?? found;
  const partial = number('partial_rotary_factor', number('partial_rotary_factor', family.partialRotaryFactor), full);
  if (partial > 1) fail(`partial_rotary_factor is ${partial}; expected at most 1`);
  const rope = (source: Record<string, unknown>, theta: number) => ({
    theta: number('rope_theta', theta, source), scaling: parseScaling(source, key, config, maxPositionEmbeddings, number, fail),
  });
  const ropes = [rope(full, number('rope_theta', family.ropeTheta))];
  if (family.modelType === 'gemma3_text') ropes.push(rope(nested('sliding_attention') ?? {}, number('rope_local_base_freq', 10000)));
  return { ropes, partial };
}

function parseScaling(
  scaling: Record<string, unknown>, key: string, config: Record<string, unknown>, maxPositionEmbeddings: number, number: ReadNumber,
  fail: (text: string) => never,
): RopeScaling {
  const of = (name: string, fallback?: number) => number(name, fallback, scaling);
  const type = scaling['rope_type'] ?? scaling['type'] ?? 'default';
  switch (type) {
    case 'default':
      return { ropeType: 'default' };
    case 'linear':
      return { ropeType: 'linear', factor: of('factor') };
    case 'dynamic':
      return { ropeType: 'dynamic', maxPositionEmbeddings };
    case 'llama3':
      return {
        ropeType: 'llama3', factor: of('factor'), lowFreqFactor: of('low_freq_factor'), highFreqFactor: of('high_freq_factor'),
        originalMaxPositionEmbeddings: of('original_max_position_embeddings'),
      };
    case 'yarn': {
      const original = of('original_max_position_embeddings', maxPositionEmbeddings);
      const factor = of('factor', maxPositionEmbeddings / original);
      const mscale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
      const [all, one] = [scaling['mscale_all_dim'], scaling['mscale']];
      const attentionFactor = all && one ? mscale(of('mscale')) / mscale(of('mscale_all_dim')) : mscale(1);
      return {
        ropeType: 'yarn', factor, attentionFactor: of('attention_factor', attentionFactor), betaFast: of('beta_fast', 32), betaSlow: of('beta_slow', 1),
        truncate: scaling['truncate'] !== false, originalMaxPositionEmbeddings: original,
      };
    }
    case 'su': // as the first Phi-3 folders call it
    case 'longrope': {
      const original = config['original_max_position_embeddings'] != null ? number('original_max_position_embeddings') : of('original_max_position_embeddings', maxPositionEmbeddings);
      const factor = of('factor', maxPositionEmbeddings / original);
      const factors = (name: string): number[] => {
        const value = scaling[name];
        if (Array.isArray(value) && value.every((x) => typeof x === 'number' && x > 0)) return value as number[];
        return fail(`${key}.${name} is not a list of positive numbers; longrope needs it`);
      };
      const attentionFactor = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
      return {
        ropeType: 'longrope', shortFactor: factors('short_factor'), longFactor: factors('long_factor'),
        attentionFactor: of('attention_factor', attentionFactor), originalMaxPositionEmbeddings: original,
      };
    }
    default:
      return fail(`${key}.rope_type is ${JSON.stringify(type)}; supported are default, linear, dynamic, llama3, yarn and longrope`);
  }
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
