/**
 * A model's config as GGUF's keys, and back: what llama.cpp reads of each architecture, and a config.json as transformers would have it from
 * what a file says. Names of tensors and what is refused are gguf-families.ts'. Scalings of rotary frequencies that llama.cpp takes as
 * numbers rather than by name (Llama 3's, Phi 3's) become tensors.
 */
import { brief } from '../../shared/brief.ts';
import { type ModelConfig, parseModelConfig, type Rope, type RopeScaling } from '../model/config.ts';
import { families } from '../model/families.ts';
import { mixtureEntries, readMixture } from './gguf-experts.ts';
import { type GgufFamily, ggufFamilies } from './gguf-families.ts';
import type { GgufValue } from './gguf-tokenizer.ts';

/** Tensors that are no parameters: what llama.cpp divides rotary frequencies by. */
export const ROPE_FREQS = 'rope_freqs.weight', ROPE_LONG = 'rope_factors_long.weight', ROPE_SHORT = 'rope_factors_short.weight';
export const ROPE_TENSORS = [ROPE_FREQS, ROPE_LONG, ROPE_SHORT];

export type GgufConfig = { metadata: [string, GgufValue][]; factors: [name: string, values: Float32Array][] };

/** Keys and rope tensors of a model. `fail` throws what has no counterpart. */
export function ggufConfig(config: ModelConfig, family: GgufFamily, fail: (what: string) => never): GgufConfig {
  const { architecture } = family;
  const key = (name: string) => `${architecture}.${name}`;
  const u32 = (name: string, value: number): [string, GgufValue] => [key(name), { u32: value }];
  const f32 = (name: string, value: number): [string, GgufValue] => [key(name), { f32: value }];
  const metadata: [string, GgufValue][] = [
    u32('vocab_size', config.vocabSize),
    u32('context_length', config.maxPositionEmbeddings),
    u32('embedding_length', config.hiddenSize),
    u32('block_count', config.numHiddenLayers),
    u32('feed_forward_length', config.intermediateSize),
    u32('attention.head_count', config.numAttentionHeads),
    u32('attention.head_count_kv', config.numKeyValueHeads),
    f32(config.norm === 'layer' ? 'attention.layer_norm_epsilon' : 'attention.layer_norm_rms_epsilon', config.normEps),
  ];
  if (!family.wholeHeads) metadata.push(u32('attention.key_length', config.headDim), u32('attention.value_length', config.headDim));
  if (config.names.positions === null) metadata.push(f32('rope.freq_base', config.ropes[0]!.theta), u32('rope.dimension_count', config.rotaryDims));
  if (architecture === 'stablelm' || architecture === 'gptneox') metadata.push([key('use_parallel_residual'), { bool: config.parallel }]);
  if (config.attentionCap > 0) metadata.push(f32('attn_logit_softcapping', config.attentionCap));
  if (config.logitCap > 0) metadata.push(f32('final_logit_softcapping', config.logitCap));
  metadata.push(...windows(config, family, key), ...mixtureEntries(config, family.mixture).map(([name, value]): [string, GgufValue] => [key(name), value]));
  const { entries, factors } = scaling(config, architecture, fail);
  return { metadata: [...metadata, ...entries.map(([name, value]): [string, GgufValue] => [key(name), value])], factors };
}

function windows({ layers, ropes }: ModelConfig, { windows: known, architecture }: GgufFamily, key: (name: string) => string): [string, GgufValue][] {
  const width = Math.max(...layers.map(({ window }) => window));
  if (known === undefined || (width === 0 && architecture !== 'phi3')) return [];
  const entries: [string, GgufValue][] = [[key('attention.sliding_window'), { u32: width }]]; // a zero tells Phi-4 from Phi-3
  if (known === 'ignored') return entries;
  const slides = layers.map(({ window }) => window > 0);
  if (slides.some((slide, layer) => slide === ((layer + 1) % known.every === 0))) entries.push([key('attention.sliding_window_pattern'), { bools: slides }]);
  const local = layers.find(({ window }) => window > 0)?.rope;
  if (local != null && local > 0) entries.push([key('rope.freq_base_swa'), { f32: ropes[local]!.theta }]);
  return entries;
}

function scaling(config: ModelConfig, architecture: string, fail: (what: string) => never): { entries: [string, GgufValue][]; factors: GgufConfig['factors'] } {
  const [{ scaling: rope }, ...others] = config.ropes as [Rope, ...Rope[]];
  const no = (bad: boolean, what: string): void => {
    if (bad) fail(`${what} has no counterpart in llama.cpp's ${architecture}; export safetensors instead`);
  };
  no(others.some((other) => other.scaling.ropeType !== 'default'), 'scaled rope of sliding layers');
  switch (rope.ropeType) {
    case 'default':
      return { entries: [], factors: [] };
    case 'linear':
      return { entries: [['rope.scaling.type', { string: 'linear' }], ['rope.scaling.factor', { f32: rope.factor }]], factors: [] };
    case 'llama3':
      no(architecture !== 'llama', 'llama3 rope scaling');
      return { entries: [], factors: [[ROPE_FREQS, llama3Factors(rope, config.ropes[0]!.theta, config.rotaryDims)]] };
    case 'yarn': {
      no(rope.betaFast !== 32 || rope.betaSlow !== 1 || !rope.truncate, 'yarn rope scaling with beta_fast, beta_slow or truncate');
      no(Math.abs(rope.attentionFactor / (0.1 * Math.log(rope.factor) + 1) - 1) > 1e-6, 'yarn rope scaling with an attention_factor of its own');
      return {
        entries: [['rope.scaling.type', { string: 'yarn' }], ['rope.scaling.factor', { f32: rope.factor }], ['rope.scaling.original_context_length', { u32: rope.originalMaxPositionEmbeddings }]],
        factors: [],
      };
    }
    case 'longrope': {
      const { shortFactor, longFactor, attentionFactor, originalMaxPositionEmbeddings } = rope;
      const asOne = attentionFactor === 1 && shortFactor.every((factor, i) => factor === longFactor[i]);
      if (architecture === 'llama' && asOne) return { entries: [], factors: [[ROPE_FREQS, Float32Array.from(shortFactor)]] };
      no(architecture !== 'phi3', 'longrope scaling');
      return {
        entries: [['rope.scaling.attn_factor', { f32: attentionFactor }], ['rope.scaling.original_context_length', { u32: originalMaxPositionEmbeddings }]],
        factors: [[ROPE_LONG, Float32Array.from(longFactor)], [ROPE_SHORT, Float32Array.from(shortFactor)]],
      };
    }
    case 'dynamic':
      return fail('rope scaling dynamic has no counterpart in llama.cpp; export safetensors instead');
  }
}

/** What llama.cpp divides each rotary frequency by (dims / 2 of them), for Llama 3.1's scaling. */
export function llama3Factors(scaling: Extract<RopeScaling, { ropeType: 'llama3' }>, theta: number, dims: number): Float32Array {
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: context } = scaling;
  return Float32Array.from({ length: dims / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / dims);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = (context / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** What a file's header says, for readConfig. */
export type GgufFacts = {
  path: string;
  metadata: Map<string, unknown>;
  /** Of stored tensors, by llama.cpp's names; shapes outermost first. */
  tensors: Map<string, { shape: number[] }>;
  /** Values of ROPE_TENSORS that are there. */
  factors: Map<string, Float32Array>;
};

/**
 * As config.json would have it.
 * @param source config.json of the model the file was made from, where it is known: Llama 3.1's rope scaling lies in the file only as what it
 * comes to (rope_freqs), so its parameters are taken from there and must come to the same.
 */
export function readConfig(facts: GgufFacts, source?: Record<string, unknown>): Record<string, unknown> {
  const { path, metadata, tensors } = facts;
  const architecture = String(metadata.get('general.architecture'));
  const of = (key: string): unknown => metadata.get(`${architecture}.${key}`);
  const number = (key: string, otherwise?: number): number => {
    const value = of(key) ?? otherwise;
    if (typeof value === 'number' && value > 0) return value;
    throw new Error(brief(`${path}: ${architecture}.${key} is ${JSON.stringify(value) ?? 'missing'}; expected a number above 0`));
  };
  const stem = stemFor(architecture, of('attention.sliding_window'), of('expert_count'));
  if (stem === null) throw new Error(`${path}: general.architecture is ${architecture}; read are ${[...new Set(Object.values(ggufFamilies).map((family) => family.architecture))].join(', ')}`);
  const [row, family] = [ggufFamilies[stem]!, families[stem]!];
  const embedding = tensors.get('token_embd.weight');
  if (!embedding) throw new Error(`${path}: tensor token_embd.weight is missing; the file is incomplete`);
  const [layers, heads, hidden] = [number('block_count'), number('attention.head_count'), number('embedding_length')];
  const headDim = row.wholeHeads ? hidden / heads : number('attention.key_length', hidden / heads);
  const rms = family.keys?.rms_norm_eps === undefined;
  const plain: Record<string, unknown> = {
    vocab_size: embedding.shape[0],
    hidden_size: hidden,
    intermediate_size: number('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    ...(row.biases === 'all' ? {} : { num_key_value_heads: number('attention.head_count_kv', heads) }),
    ...(row.wholeHeads ? {} : { head_dim: headDim }),
    max_position_embeddings: number('context_length'),
    rms_norm_eps: number(rms ? 'attention.layer_norm_rms_epsilon' : 'attention.layer_norm_epsilon'),
    tie_word_embeddings: !tensors.has('output.weight'),
  };
  const config: Record<string, unknown> = {
    architectures: [stem === 'GPT2' ? 'GPT2LMHeadModel' : `${stem}ForCausalLM`],
    model_type: family.modelType,
    ...Object.fromEntries(Object.entries(plain).map(([key, value]) => [family.keys?.[key] ?? key, value])),
  };
  if (family.names.positions !== null) return config;
  if (row.mixture) {
    const fail = (what: string): never => {
      throw new Error(brief(`${path}: ${architecture}.${what}`));
    };
    Object.assign(config, readMixture(row.mixture, plain.intermediate_size as number, of, number, fail));
  }
  const rope = readRope(facts, architecture, { headDim, partial: family.partialRotaryFactor }, number, source);
  Object.assign(config, { rope_parameters: rope }, readTraits(facts, architecture, layers, headDim, hidden / heads, rope));
  return config;
}

/** llama.cpp runs Mistral and Mixtral as a Llama; a window, and experts, are what tells them apart. */
function stemFor(architecture: string, window: unknown, experts: unknown): string | null {
  if (architecture === 'llama' && (experts ?? 0) !== 0) return 'Mixtral';
  if (architecture === 'llama') return typeof window === 'number' && window > 0 ? 'Mistral' : 'Llama';
  return Object.keys(ggufFamilies).find((stem) => ggufFamilies[stem]!.architecture === architecture) ?? null;
}

/** What only some families have, under the keys of their config.json. */
function readTraits({ metadata, tensors }: GgufFacts, architecture: string, layers: number, headDim: number, wholeHead: number, rope: Record<string, unknown>): Record<string, unknown> {
  const of = (key: string): unknown => metadata.get(`${architecture}.${key}`);
  const window = of('attention.sliding_window');
  const attention_bias = tensors.has('blk.0.attn_q.bias');
  const scaleOf = (largest: number) => (layers === largest ? Math.floor(wholeHead) : headDim);
  /** Of Gemma, which slides in all but every n-th layer, or as the file lists it. */
  const layerTypes = (every: number) => {
    const listed = of('attention.sliding_window_pattern');
    const slides = (layer: number): boolean => (Array.isArray(listed) ? listed[layer] === true : (layer + 1) % (typeof listed === 'number' ? listed : every) !== 0);
    return Array.from({ length: layers }, (_, layer) => (window !== undefined && slides(layer) ? 'sliding_attention' : 'full_attention'));
  };
  const gelu = { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' };
  switch (architecture) {
    case 'llama':
      return typeof window === 'number' && window > 0 ? { sliding_window: window } : { attention_bias, mlp_bias: tensors.has('blk.0.ffn_gate.bias') };
    case 'qwen3':
    case 'qwen3moe':
      return { attention_bias };
    case 'qwen2moe':
      return { qkv_bias: attention_bias };
    case 'smollm3':
      return { no_rope_layer_interval: 4, no_rope_layers: Array.from({ length: layers }, (_, layer) => ((layer + 1) % 4 === 0 ? 0 : 1)) };
    case 'gemma':
      return gelu;
    case 'gemma2':
      return {
        ...gelu, sliding_window: window ?? 4096, layer_types: layerTypes(2), query_pre_attn_scalar: scaleOf(46),
        attn_logit_softcapping: of('attn_logit_softcapping') ?? 50, final_logit_softcapping: of('final_logit_softcapping') ?? 30,
      };
    case 'gemma3':
      return {
        ...gelu, sliding_window: window ?? null, layer_types: layerTypes(6), query_pre_attn_scalar: scaleOf(62), final_logit_softcapping: of('final_logit_softcapping') ?? null,
        rope_parameters: { full_attention: rope, sliding_attention: { rope_type: 'default', rope_theta: of('rope.freq_base_swa') ?? 10000 } },
      };
    case 'phi3':
      return { sliding_window: window === 0 ? null : (window ?? null), original_max_position_embeddings: of('rope.scaling.original_context_length') ?? of('context_length') };
    case 'stablelm':
      return { use_parallel_residual: !tensors.has('blk.0.ffn_norm.weight'), use_qkv_bias: attention_bias, qk_layernorm: tensors.has('blk.0.attn_q_norm.weight') };
    case 'gptneox':
      return { use_parallel_residual: of('use_parallel_residual') !== false };
    default:
      return {};
  }
}

/** `partial`: what the family turns of a head where its config does not say. */
function readRope(
  { path, metadata, factors }: GgufFacts, architecture: string, { headDim, partial }: { headDim: number; partial: number }, number: (key: string, otherwise?: number) => number, source?: Record<string, unknown>,
): Record<string, unknown> {
  const theta = number('rope.freq_base', 10000);
  const dims = number('rope.dimension_count', headDim);
  const rope: Record<string, unknown> = { rope_type: 'default', rope_theta: theta, ...(dims === headDim && partial === 1 ? {} : { partial_rotary_factor: dims / headDim }) };
  const freqs = factors.get(ROPE_FREQS);
  if (freqs) return source ? checkedRope(freqs, source, path) : foundRope(freqs, theta, number('context_length'));
  const [long, short] = [factors.get(ROPE_LONG), factors.get(ROPE_SHORT)];
  const type = metadata.get(`${architecture}.rope.scaling.type`);
  if (long && short) {
    const original_max_position_embeddings = number('rope.scaling.original_context_length');
    Object.assign(rope, { rope_type: 'longrope', long_factor: [...long], short_factor: [...short], attention_factor: number('rope.scaling.attn_factor', 1), original_max_position_embeddings });
  } else if (type === 'linear' || type === 'yarn') {
    Object.assign(rope, { rope_type: type, factor: number('rope.scaling.factor') });
    if (type === 'yarn') rope.original_max_position_embeddings = number('rope.scaling.original_context_length');
  }
  return rope;
}

/** Scaling of a file whose source is not known: Llama 3's where its factors are those, else the factors as longrope has them, which is the same arithmetic. */
function foundRope(factors: Float32Array, theta: number, context: number): Record<string, unknown> {
  for (const factor of [8, 32]) {
    const expected = llama3Factors({ ropeType: 'llama3', factor, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 8192 }, theta, 2 * factors.length);
    if (expected.every((value, i) => Math.abs(value / factors[i]! - 1) < 1e-6)) {
      return { rope_type: 'llama3', rope_theta: theta, factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    }
  }
  const list = [...factors];
  return { rope_type: 'longrope', rope_theta: theta, short_factor: list, long_factor: list, attention_factor: 1, original_max_position_embeddings: context };
}

/** Llama 3.1's scaling as the source's config.json says it, when the file's frequencies are what it comes to. */
function checkedRope(factors: Float32Array, source: Record<string, unknown>, path: string): Record<string, unknown> {
  const parsed = parseModelConfig(source, path);
  const { theta, scaling } = parsed.ropes[0]!;
  const expected = scaling.ropeType === 'llama3' ? llama3Factors(scaling, theta, parsed.rotaryDims) : scaling.ropeType === 'longrope' ? Float32Array.from(scaling.shortFactor) : null;
  if (!expected || expected.length !== factors.length || expected.some((factor, i) => factor !== factors[i])) {
    throw new Error(`${path}: rope_freqs.weight is not what the source model's rope scaling (${scaling.ropeType}) comes to; the file was made from another model`);
  }
  return { rope_theta: theta, ...((source.rope_parameters ?? source.rope_scaling) as Record<string, unknown>) };
}

