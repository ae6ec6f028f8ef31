/**
 * What makes a family: its tensors' names and the few traits in which its decoder differs from Llama's, as data. One row a family, and
 * nothing of a family anywhere else: config.ts reads config.json by the row, parameters.ts takes its names, transformer.ts its traits.
 * Defaults of absent keys are those of transformers' config classes.
 */
import type { Activation, PlainActivation } from '../device/device.ts';

/** Hugging Face's names of modules, below `layers.N` for those of a layer; null: the family has none. */
export type Names = {
  embed: string;
  /** Learned embeddings of positions, in place of rotary ones. */
  positions: string | null;
  layers: string;
  norm: string;
  head: string;
  inputNorm: string | null;
  /** One linear for q, k and v, or three. */
  qkv: string | null;
  q: string;
  k: string;
  v: string;
  o: string;
  qNorm: string;
  kNorm: string;
  afterAttentionNorm: string | null;
  mlpNorm: string | null;
  gateUp: string | null;
  gate: string;
  up: string;
  down: string;
  mixture: MixtureNames | null;
  afterMlpNorm: string | null;
};

/** Of a mixture's modules; gate, up and down stand below `experts.E` and `shared`. */
export type MixtureNames = { router: string; experts: string; gate: string; up: string; down: string; shared: string | null; sharedGate: string };

/** See ModelConfig, of which these are part. */
export type Traits = {
  hiddenAct: Activation | PlainActivation;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  /** RMSNorm on each head's q and k, or on all heads' together. */
  qkNorm: 'head' | 'all' | null;
  norm: 'rms' | 'layer';
  /** A norm multiplies by this plus its weight: Gemma's weights count from 1. */
  normOffset: 0 | 1;
  /** act(gate) · up, or act(up). */
  gated: boolean;
  /** The MLP reads the layer's input, not what attention made of it. */
  parallel: boolean;
  /** … through the norm that attention's input went through. */
  sharedNorm: boolean;
  /** How a fused qkv lies: all q, all k, all v; or q, k and v of each head. */
  fusedQkv: 'parts' | 'heads';
  /** Matrices are stored (in, out): GPT-2's Conv1D. */
  transposed: boolean;
  /** Multiplies embeddings. */
  embeddingScale: number;
  /** Multiplies scores; null: 1/√headDim. */
  attentionScale: number | null;
  /** Scores and logits become cap · tanh(x / cap); 0: they do not. */
  attentionCap: number;
  logitCap: number;
  /** Keys a query of a layer sees, itself included, 0: all; and which of the config's ropes turns it, null: none. */
  layers: { window: number; rope: number | null }[];
  /** Experts in place of the MLP; null: a dense model. */
  mixture: Mixture | null;
};

export type Mixture = {
  numExperts: number;
  numExpertsPerTok: number;
  /** The weights of a token's experts sum to 1. */
  normTopkProb: boolean;
  /** Of one expert; of the shared one, 0: there is none. */
  intermediateSize: number;
  sharedIntermediateSize: number;
  /** Weighs the load balancing loss in training. */
  routerAuxLossCoef: number;
  /** Which layers have experts; the others are dense. */
  layers: boolean[];
};

/** How a family's row reads config.json; every method checks what it reads. */
export type Reader = {
  layers: number;
  hiddenSize: number;
  raw(key: string): unknown;
  number(key: string, fallback?: number): number;
  /** 0 where the key is null, or absent without a fallback. */
  optional(key: string, fallback?: number): number;
  flag(key: string, fallback?: boolean): boolean;
  fail(text: string): never;
};

export type Family = {
  modelType: string;
  names: Names;
  /** Of config.json where the family spells a key otherwise. */
  keys?: Record<string, string>;
  /** Of an absent head_dim; null: hidden_size / num_attention_heads. */
  headDim: number | null;
  ropeTheta: number;
  partialRotaryFactor: number;
  tied: boolean;
  hiddenAct: string;
  traits(config: Reader): Partial<Traits>;
};

const LLAMA: Names = {
  embed: 'model.embed_tokens', positions: null, layers: 'model.layers', norm: 'model.norm', head: 'lm_head',
  inputNorm: 'input_layernorm', qkv: null, q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj', o: 'self_attn.o_proj',
  qNorm: 'self_attn.q_norm', kNorm: 'self_attn.k_norm', afterAttentionNorm: null,
  mlpNorm: 'post_attention_layernorm', gateUp: null, gate: 'mlp.gate_proj', up: 'mlp.up_proj', down: 'mlp.down_proj', mixture: null, afterMlpNorm: null,
};
const SANDWICH: Names = {
  ...LLAMA, afterAttentionNorm: 'post_attention_layernorm', mlpNorm: 'pre_feedforward_layernorm', afterMlpNorm: 'post_feedforward_layernorm',
};
const GPT2: Names = {
  ...LLAMA, embed: 'transformer.wte', positions: 'transformer.wpe', layers: 'transformer.h', norm: 'transformer.ln_f',
  inputNorm: 'ln_1', qkv: 'attn.c_attn', o: 'attn.c_proj', mlpNorm: 'ln_2', up: 'mlp.c_fc', down: 'mlp.c_proj',
};
const NEOX: Names = {
  ...LLAMA, embed: 'gpt_neox.embed_in', layers: 'gpt_neox.layers', norm: 'gpt_neox.final_layer_norm', head: 'embed_out',
  qkv: 'attention.query_key_value', o: 'attention.dense', up: 'mlp.dense_h_to_4h', down: 'mlp.dense_4h_to_h',
};

/** What Llama is, and most others are but for a trait or two. */
const llama = { names: LLAMA, headDim: null, ropeTheta: 10000, partialRotaryFactor: 1, tied: false, hiddenAct: 'silu' };
const attentionBias = (c: Reader) => ({ qkvBias: c.flag('attention_bias'), outputBias: c.flag('attention_bias') });
const mlpBias = (c: Reader) => ({ mlpBias: c.flag('mlp_bias') });
const everywhere = (c: Reader, window: number) => ({ layers: Array.from({ length: c.layers }, () => ({ window, rope: 0 })) });

/** Windows by layer_types, else by the family's rule; a sliding layer's rope is the second where there are two. */
function alternating(c: Reader, window: number, slides: (layer: number) => boolean, ropeOf = (_sliding: boolean, _layer: number): number | null => 0) {
  const types = c.raw('layer_types');
  const of = (layer: number): boolean => {
    if (types == null) return slides(layer);
    const type = (types as unknown[])[layer];
    if (type !== 'full_attention' && type !== 'sliding_attention') c.fail(`layer_types[${layer}] is ${JSON.stringify(type)}; supported are full_attention and sliding_attention`);
    return type === 'sliding_attention';
  };
  return {
    layers: Array.from({ length: c.layers }, (_, layer) => {
      const sliding = of(layer);
      if (sliding && window === 0) c.fail(`layer ${layer} slides, but sliding_window is not given`);
      return { window: sliding ? window : 0, rope: ropeOf(sliding, layer) };
    }),
  };
}

/** Qwen's windows: off but for use_sliding_window, and then from max_window_layers on. */
const qwenWindows = (c: Reader) => {
  const window = c.flag('use_sliding_window') ? c.optional('sliding_window', 4096) : 0;
  return alternating(c, window, (layer) => window > 0 && layer >= c.number('max_window_layers', 28));
};

const QWEN_MOE: Names = {
  ...LLAMA,
  mixture: { router: 'mlp.gate', experts: 'mlp.experts', gate: 'gate_proj', up: 'up_proj', down: 'down_proj', shared: 'mlp.shared_expert', sharedGate: 'mlp.shared_expert_gate' },
};

/** In all layers together; a count beyond is a mistake, and would take memory before any tensor is looked at. The largest models have about 30,000. */
const MOST_EXPERTS = 200_000;

/** Experts of some layers. transformers 5 writes Qwen3's num_experts as num_local_experts. */
function experts(c: Reader, count: number, perToken: number, of: Pick<Mixture, 'normTopkProb' | 'intermediateSize' | 'sharedIntermediateSize'>, routed: (layer: number) => boolean) {
  const numExperts = c.number('num_local_experts', c.number('num_experts', count));
  const numExpertsPerTok = c.number('num_experts_per_tok', perToken);
  if (!Number.isInteger(numExperts) || !Number.isInteger(numExpertsPerTok)) c.fail(`there are ${numExperts} experts of which a token takes ${numExpertsPerTok}; expected whole numbers`);
  if (numExperts * c.layers > MOST_EXPERTS) c.fail(`there are ${numExperts} experts in each of ${c.layers} layers; no model has more than ${MOST_EXPERTS} in all`);
  if (numExpertsPerTok > numExperts) c.fail(`num_experts_per_tok (${numExpertsPerTok}) is more than the ${numExperts} experts there are`);
  const layers = Array.from({ length: c.layers }, (_, layer) => routed(layer));
  const mixture: Mixture = { ...of, numExperts, numExpertsPerTok, routerAuxLossCoef: c.raw('router_aux_loss_coef') === 0 ? 0 : c.number('router_aux_loss_coef', 0.001), layers };
  return { mixture: layers.includes(true) ? mixture : null };
}

/** All layers but mlp_only_layers and those between steps. */
function qwenExperts(c: Reader, count: number, perToken: number, intermediateSize: number, sharedIntermediateSize: number) {
  const dense = c.raw('mlp_only_layers') ?? [];
  if (!Array.isArray(dense)) c.fail(`mlp_only_layers is ${JSON.stringify(dense)}, expected a list of layers`);
  const step = c.number('decoder_sparse_step', 1);
  return experts(
    c, count, perToken, { normTopkProb: c.flag('norm_topk_prob'), intermediateSize: c.number('moe_intermediate_size', intermediateSize), sharedIntermediateSize },
    (layer) => !(dense as unknown[]).includes(layer) && (layer + 1) % step === 0,
  );
}

/** tanh-GELU, whatever hidden_act says: so transformers reads Gemma's configs. */
const gemma = { ...llama, tied: true, headDim: 256, traits: (c: Reader) => gemmaTraits(c) };
const gemmaTraits = (c: Reader): Partial<Traits> => ({
  ...attentionBias(c), normOffset: 1, embeddingScale: Math.sqrt(c.hiddenSize), hiddenAct: 'gelu_pytorch_tanh',
});
const gemmaScale = (c: Reader) => ({ attentionScale: c.number('query_pre_attn_scalar', 256) ** -0.5 });

/** By the name in `architectures`, without its ending (ForCausalLM, LMHeadModel, ForSequenceClassification). */
export const families: Record<string, Family> = {
  Llama: { ...llama, modelType: 'llama', traits: (c) => ({ ...attentionBias(c), ...mlpBias(c) }) },
  Mistral: { ...llama, modelType: 'mistral', traits: (c) => everywhere(c, c.optional('sliding_window', 4096)) },
  Qwen2: { ...llama, modelType: 'qwen2', traits: (c) => ({ qkvBias: true, ...qwenWindows(c) }) },
  Qwen3: { ...llama, modelType: 'qwen3', headDim: 128, traits: (c) => ({ ...attentionBias(c), qkNorm: 'head', ...qwenWindows(c) }) },
  Mixtral: {
    ...llama, modelType: 'mixtral', ropeTheta: 1000000,
    names: { ...LLAMA, mixture: { router: 'block_sparse_moe.gate', experts: 'block_sparse_moe.experts', gate: 'w1', up: 'w3', down: 'w2', shared: null, sharedGate: '' } },
    traits(c) {
      if ((c.raw('router_jitter_noise') ?? 0) !== 0) c.fail('router_jitter_noise is not 0; noise on what the router sees is not supported, set it to 0');
      return {
        ...everywhere(c, c.optional('sliding_window')),
        ...experts(c, 8, 2, { normTopkProb: true, intermediateSize: c.number('intermediate_size'), sharedIntermediateSize: 0 }, () => true),
      };
    },
  },
  Qwen2Moe: {
    ...llama, modelType: 'qwen2_moe', names: QWEN_MOE,
    traits(c) {
      const window = c.flag('use_sliding_window') ? c.optional('sliding_window', 4096) : 0;
      return {
        qkvBias: c.flag('qkv_bias', true),
        ...alternating(c, window, (layer) => window > 0 && layer % 2 === 0 && layer < c.number('max_window_layers', 28)),
        ...qwenExperts(c, 60, 4, 1408, c.number('shared_expert_intermediate_size', 5632)),
      };
    },
  },
  Qwen3Moe: {
    ...llama, modelType: 'qwen3_moe', names: { ...QWEN_MOE, mixture: { ...QWEN_MOE.mixture!, shared: null } },
    traits: (c) => ({
      ...attentionBias(c), qkNorm: 'head', ...everywhere(c, c.flag('use_sliding_window') ? c.optional('sliding_window', 4096) : 0),
      ...qwenExperts(c, 128, 8, 768, 0),
    }),
  },
  SmolLM3: {
    ...llama, modelType: 'smollm3', ropeTheta: 2000000, tied: true,
    traits(c) {
      const listed = c.raw('no_rope_layers') as unknown[] | null | undefined;
      const every = c.number('no_rope_layer_interval', 4);
      const turned = (layer: number) => (listed ? listed[layer] === 1 : (layer + 1) % every !== 0);
      const window = c.flag('use_sliding_window') ? c.optional('sliding_window') : 0;
      return { ...attentionBias(c), ...mlpBias(c), ...alternating(c, window, (layer) => window > 0 && !turned(layer), (_, layer) => (turned(layer) ? 0 : null)) };
    },
  },
  Gemma: { ...gemma, modelType: 'gemma' },
  Gemma2: {
    ...gemma, modelType: 'gemma2', names: SANDWICH,
    traits: (c) => ({
      ...gemmaTraits(c), ...gemmaScale(c), attentionCap: c.optional('attn_logit_softcapping', 50), logitCap: c.optional('final_logit_softcapping', 30),
      ...alternating(c, c.optional('sliding_window', 4096), (layer) => layer % 2 === 0),
    }),
  },
  Gemma3: {
    ...gemma, modelType: 'gemma3_text', names: SANDWICH, ropeTheta: 1000000,
    traits(c) {
      if (c.flag('use_bidirectional_attention')) c.fail('use_bidirectional_attention is true; only causal attention is supported');
      const every = c.number('sliding_window_pattern', 6);
      return {
        ...gemmaTraits(c), ...gemmaScale(c), qkNorm: 'head', attentionCap: c.optional('attn_logit_softcapping'), logitCap: c.optional('final_logit_softcapping'),
        ...alternating(c, c.optional('sliding_window', 4096), (layer) => (layer + 1) % every !== 0, (sliding) => (sliding ? 1 : 0)),
      };
    },
  },
  Phi3: {
    ...llama, modelType: 'phi3', names: { ...LLAMA, qkv: 'self_attn.qkv_proj', gateUp: 'mlp.gate_up_proj' },
    traits: (c) => everywhere(c, c.optional('sliding_window')),
  },
  Olmo2: {
    ...llama, modelType: 'olmo2', names: { ...SANDWICH, inputNorm: null, mlpNorm: null },
    traits: (c) => ({ ...attentionBias(c), qkNorm: 'all' }),
  },
  StableLm: {
    ...llama, modelType: 'stablelm', partialRotaryFactor: 0.25, keys: { rms_norm_eps: 'layer_norm_eps' },
    traits(c) {
      if (c.flag('qk_layernorm')) c.fail('qk_layernorm is true; a LayerNorm for each head is not supported');
      const parallel = c.flag('use_parallel_residual');
      return { norm: 'layer', qkvBias: c.flag('use_qkv_bias'), parallel, sharedNorm: parallel };
    },
  },
  GPTNeoX: {
    ...llama, modelType: 'gpt_neox', names: NEOX, partialRotaryFactor: 0.25, hiddenAct: 'gelu',
    keys: { rms_norm_eps: 'layer_norm_eps', partial_rotary_factor: 'rotary_pct', rope_theta: 'rotary_emb_base' },
    traits(c) {
      const bias = c.flag('attention_bias', true);
      return { norm: 'layer', gated: false, mlpBias: true, qkvBias: bias, outputBias: bias, fusedQkv: 'heads', parallel: c.flag('use_parallel_residual', true) };
    },
  },
  GPT2: {
    ...llama, modelType: 'gpt2', names: GPT2, tied: true, hiddenAct: 'gelu_new',
    keys: {
      hidden_size: 'n_embd', num_hidden_layers: 'n_layer', num_attention_heads: 'n_head', max_position_embeddings: 'n_positions',
      intermediate_size: 'n_inner', hidden_act: 'activation_function', rms_norm_eps: 'layer_norm_epsilon',
    },
    traits(c) {
      if (c.flag('scale_attn_by_inverse_layer_idx')) c.fail('scale_attn_by_inverse_layer_idx is true; only scores over √head_dim are supported');
      if (!c.flag('scale_attn_weights', true)) c.fail('scale_attn_weights is false; only scores over √head_dim are supported');
      return {
        norm: 'layer', gated: false, mlpBias: true, qkvBias: true, outputBias: true, transposed: true,
        layers: Array.from({ length: c.layers }, () => ({ window: 0, rope: null })),
      };
    },
  },
};
