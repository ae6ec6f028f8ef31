import { expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { checkTokenizerFits, parseModelConfig } from './config.ts';
import { createRotaryTable, inverseFrequencies } from './rope-table.ts';
import { relativeError, tinyConfig } from './testing.ts';

const parse = (changes: Record<string, unknown>) => parseModelConfig({ ...tinyConfig, ...changes }, 'config.json');

test('a family is known by architectures, or by model_type without it', () => {
  expect(parse({}).modelType).toBe('llama');
  expect(parse({ architectures: undefined, model_type: 'qwen3' })).toMatchObject({ architecture: 'Qwen3ForCausalLM', qkNorm: 'head', qkvBias: false, headDim: 128 });
  expect(parse({ architectures: ['Qwen2ForCausalLM'] })).toMatchObject({ qkvBias: true, outputBias: false, mlpBias: false, qkNorm: null, headDim: 8 });
  expect(parse({ attention_bias: true, mlp_bias: true })).toMatchObject({ qkvBias: true, outputBias: true, mlpBias: true });
});

test('a classifier of any family is its trunk', () => {
  expect(parse({ architectures: ['MistralForSequenceClassification'], num_labels: 3 })).toMatchObject({ modelType: 'mistral', numLabels: 3 });
  expect(parse({ architectures: ['GPT2ForSequenceClassification'], n_embd: 32, n_head: 4, n_layer: 1, n_positions: 9 })).toMatchObject({ modelType: 'gpt2', numLabels: 2, intermediateSize: 48 });
});

test('absent keys take the defaults of transformers, null ones too', () => {
  expect(parse({ num_key_value_heads: null, rope_theta: undefined, tie_word_embeddings: undefined, rms_norm_eps: undefined, head_dim: null }))
    .toMatchObject({ numKeyValueHeads: 4, ropes: [{ theta: 10000 }], tieWordEmbeddings: false, normEps: 1e-6, headDim: 8, hiddenAct: 'silu' });
});

test('experts are read under either of their names, and in the layers that have them', () => {
  const qwen = { architectures: ['Qwen3MoeForCausalLM'], num_hidden_layers: 4, num_experts_per_tok: 2, moe_intermediate_size: 12, mlp_only_layers: [3], decoder_sparse_step: 2 };
  const mixture = { numExperts: 6, numExpertsPerTok: 2, normTopkProb: false, intermediateSize: 12, sharedIntermediateSize: 0, routerAuxLossCoef: 0.001, layers: [false, true, false, false] };
  expect(parse({ ...qwen, num_experts: 6 }).mixture).toEqual(mixture);
  expect(parse({ ...qwen, num_local_experts: 6, router_aux_loss_coef: 0 }).mixture).toEqual({ ...mixture, routerAuxLossCoef: 0 });
  expect(parse({ ...qwen, mlp_only_layers: [1, 3] }).mixture).toBeNull();
  expect(parse({ architectures: ['MixtralForCausalLM'] }).mixture).toMatchObject({ numExperts: 8, numExpertsPerTok: 2, normTopkProb: true, layers: [true, true] });
  expect(() => parse({ ...qwen, num_experts: 1 })).toThrow('config.json: num_experts_per_tok (2) is more than the 1 experts there are');
  expect(() => parse({ ...qwen, mlp_only_layers: 3 })).toThrow('config.json: mlp_only_layers is 3, expected a list of layers');
  expect(() => parse({ architectures: ['MixtralForCausalLM'], router_jitter_noise: 0.1 })).toThrow(/router_jitter_noise is not 0/);
});

test('an unknown architecture is refused by name, with the nearest one', () => {
  expect(() => parse({ architectures: ['Qwen3NextForCausalLM'] })).toThrow(
    /^config.json: architecture Qwen3NextForCausalLM is not supported; the nearest supported one is Qwen3MoeForCausalLM \(all: LlamaForCausalLM, .*GPT2LMHeadModel\)$/,
  );
  expect(() => parse({ architectures: undefined, model_type: 'bloom' })).toThrow(/architecture bloom is not supported/);
  expect(() => parse({ architectures: ['Gemma3ForConditionalGeneration'] })).toThrow(/nearest supported one is Gemma3ForCausalLM/);
  expect(() => parse({ architectures: undefined, model_type: undefined })).toThrow(/architectures and model_type are missing/);
});

test('what is missing or does not fit is named with the file', () => {
  expect(() => parse({ num_attention_heads: 14, num_key_value_heads: 4 })).toThrow('config.json: num_attention_heads (14) is not a multiple of num_key_value_heads (4)');
  expect(() => parse({ hidden_size: undefined })).toThrow('config.json: hidden_size is missing; a llama config needs it');
  expect(() => parse({ hidden_size: 33, num_key_value_heads: 4 })).toThrow(/hidden_size \(33\) is not a multiple of num_attention_heads \(4\)/);
  expect(() => parse({ vocab_size: '50' })).toThrow('config.json: vocab_size is "50", expected a positive number');
  expect(() => parse({ num_hidden_layers: 2.5 })).toThrow(/num_hidden_layers is 2.5, expected a whole number/);
  expect(() => parse({ hidden_act: 'relu' })).toThrow(/hidden_act is "relu"; supported are silu, gelu_pytorch_tanh, gelu_new/);
});

test('folders from before transformers 5 are read in their own spelling', () => {
  const read = (config: Record<string, unknown>) => parseModelConfig(config, 'config.json');
  const sizes = { vocab_size: 50, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 6, num_attention_heads: 4, num_key_value_heads: 1, max_position_embeddings: 128 };
  // Gemma 3: two bases, of which the sliding layers take the local one; every sixth layer sees everything
  const gemma = read({ ...sizes, architectures: ['Gemma3ForCausalLM'], head_dim: 8, rope_theta: 1000000, rope_local_base_freq: 10000, rope_scaling: null, sliding_window: 16, sliding_window_pattern: 6 });
  expect(gemma.ropes.map(({ theta }) => theta)).toEqual([1000000, 10000]);
  expect(gemma.layers).toEqual([...Array.from({ length: 5 }, () => ({ window: 16, rope: 1 })), { window: 0, rope: 0 }]);
  expect(gemma).toMatchObject({ tieWordEmbeddings: true, hiddenAct: 'gelu_pytorch_tanh', attentionScale: 1 / 16, logitCap: 0, qkNorm: 'head' });
  // Pythia
  expect(read({ ...sizes, num_key_value_heads: undefined, architectures: ['GPTNeoXForCausalLM'], hidden_act: 'gelu', rotary_pct: 0.25, rotary_emb_base: 500, layer_norm_eps: 1e-4 }))
    .toMatchObject({ rotaryDims: 2, ropes: [{ theta: 500 }], normEps: 1e-4, parallel: true, qkvBias: true, hiddenAct: 'gelu', tieWordEmbeddings: false });
  // Phi-3.5: the factor is the ratio of the two lengths
  const phi = read({ ...sizes, architectures: ['Phi3ForCausalLM'], original_max_position_embeddings: 32, rope_scaling: { type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [1, 2, 3, 4] }, sliding_window: 64 });
  expect(phi.ropes[0]!.scaling).toMatchObject({ ropeType: 'longrope', attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(32)), originalMaxPositionEmbeddings: 32 });
  expect(phi.layers[0]).toEqual({ window: 64, rope: 0 });
  // Mistral: absent is 4096, null is none
  expect([{}, { sliding_window: null }].map((change) => read({ ...sizes, architectures: ['MistralForCausalLM'], ...change }).layers[0]!.window)).toEqual([4096, 0]);
});

test('what would be computed differently is refused', () => {
  const qwen = { architectures: ['Qwen2ForCausalLM'], sliding_window: 64, max_window_layers: 1 };
  expect(parse({ ...qwen, use_sliding_window: true }).layers).toEqual([{ window: 0, rope: 0 }, { window: 64, rope: 0 }]);
  expect(parse({ ...qwen, use_sliding_window: false }).layers).toEqual([{ window: 0, rope: 0 }, { window: 0, rope: 0 }]);
  expect(() => parse({ ...qwen, use_sliding_window: true, layer_types: ['full_attention', 'chunked_attention'] })).toThrow(/layer_types\[1\] is "chunked_attention"/);
  expect(() => parse({ rope_scaling: { type: 'ntk', factor: 2 } })).toThrow(
    'config.json: rope_scaling.rope_type is "ntk"; supported are default, linear, dynamic, llama3, yarn and longrope',
  );
  expect(() => parse({ rope_scaling: { rope_type: 'llama3', factor: 2 } })).toThrow(/low_freq_factor is missing/);
  expect(() => parse({ rope_scaling: { rope_type: 'longrope', short_factor: [1], long_factor: [1, 1] } })).toThrow(/have 1 and 2 numbers, expected 4/);
  expect(() => parse({ architectures: ['StableLmForCausalLM'], qk_layernorm: true })).toThrow(/qk_layernorm is true/);
});

test('a tokenizer larger than the embedding is refused, a smaller one is fine', () => {
  expect(() => checkTokenizerFits(parse({}), 51, 'tokenizer.json')).toThrow(/tokenizer.json: the tokenizer has 51 tokens, but the model's embedding has 50 rows/);
  checkTokenizerFits(parse({}), 49, 'tokenizer.json');
});

// Of transformers 5.18's ROPE_INIT_FUNCTIONS for hidden_size 64, 4 heads, max_position_embeddings 256.
test.each([
  [{ rope_type: 'linear', rope_theta: 10000, factor: 4 }, 1,
    [0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-5]],
  [{ rope_type: 'llama3', rope_theta: 500000, factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }, 1,
    [1, 0.079403013, 0.00470075384, 0.000911583134, 0.000176776681, 3.42810235e-5, 6.64786967e-6, 1.28917316e-6]],
  [{ rope_type: 'yarn', rope_theta: 10000, factor: 4, original_max_position_embeddings: 64 }, 1.138629436111989,
    [1, 0.237170815, 0.049999997, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-5]],
  [{ rope_type: 'yarn', rope_theta: 10000, factor: 4, original_max_position_embeddings: 64, beta_fast: 8, beta_slow: 2, truncate: false, mscale: 2, mscale_all_dim: 0.5 },
    1.1944648761087142, [1, 0.160589159, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012, 7.90569466e-5]],
])('the frequencies of %o are those of transformers', (rope, attentionFactor, expected) => {
  const config = parse({ hidden_size: 64, max_position_embeddings: 256, rope_parameters: rope });
  const made = inverseFrequencies(config.ropes[0]!, config.rotaryDims);
  expect(made.attentionFactor).toBeCloseTo(attentionFactor, 12);
  made.frequencies.forEach((frequency, i) => expect(Math.abs(frequency / expected[i]! - 1)).toBeLessThan(5e-7));
});

test('the rotary table keeps its rows when it grows', async () => {
  const device = createReferenceDevice();
  const table = createRotaryTable(device, parse({}).ropes[0]!, 8);
  table.reserve(10);
  const before = (await device.read(table.cosSin)) as Float32Array;
  table.reserve(1000);
  const after = (await device.read(table.cosSin)) as Float32Array;
  expect(after.length).toBe(1024 * 8);
  expect(relativeError(after.subarray(0, before.length), before)).toBe(0);
  expect([after[8], after[12]]).toEqual([Math.fround(Math.cos(1)), Math.fround(Math.sin(1))]); // position 1, first pair: angle 1
  table.free();
  expect(device.memory().bytes).toBe(0);
});
