import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeGgufFile } from './gguf-encode.ts';
import type { GgufType } from './gguf-layout.ts';
import { readGgufMetadata } from './gguf-reader.ts';
import { writeGguf } from './gguf.ts';
import { readGguf } from './testing.ts';
import type { TensorSource } from './safetensors.ts';

let root: string;
let tokenizerFolder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-gguf-'));
  tokenizerFolder = join(root, 'tokenizer');
  await mkdir(tokenizerFolder);
  await writeFile(
    join(tokenizerFolder, 'tokenizer.json'),
    JSON.stringify({
      model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] },
      added_tokens: [{ id: 3, content: '<|end|>', special: true }],
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    }),
  );
  await writeFile(join(tokenizerFolder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|end|>', chat_template: 'T' }));
});
afterAll(() => rm(root, { recursive: true }));

/** One layer, hidden 8, two query heads of 4, one key/value head, intermediate 6, five embedding rows for four tokens. */
const CONFIG = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 5,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
};
const SHAPES: Record<string, number[]> = {
  'lm_head.weight': [5, 8],
  'model.norm.weight': [8],
  'model.embed_tokens.weight': [5, 8],
  'model.layers.0.mlp.down_proj.weight': [8, 6],
  'model.layers.0.mlp.up_proj.weight': [6, 8],
  'model.layers.0.mlp.gate_proj.weight': [6, 8],
  'model.layers.0.post_attention_layernorm.weight': [8],
  'model.layers.0.input_layernorm.weight': [8],
  'model.layers.0.self_attn.q_proj.weight': [8, 8],
  'model.layers.0.self_attn.k_proj.weight': [4, 8],
  'model.layers.0.self_attn.v_proj.weight': [4, 8],
  'model.layers.0.self_attn.o_proj.weight': [8, 8],
};

/** Value of row r, column c is 10 r + c, exact in every type but Q8_0. */
function tensors(shapes: Record<string, number[]>): TensorSource[] {
  return Object.entries(shapes).map(([name, shape]) => {
    const columns = shape[1] ?? 1;
    const values = Float32Array.from({ length: shape[0] * columns }, (_, i) => 10 * Math.floor(i / columns) + (i % columns));
    return { name, shape, dtype: 'F32', read: () => Promise.resolve(values) };
  });
}

let count = 0;
async function write(config: Record<string, unknown>, type: GgufType, sources: TensorSource[]) {
  const path = join(root, `${count++}.gguf`);
  const { bytes, sha256 } = await writeGguf(path, {
    config: { ...CONFIG, ...config },
    tokenizerFolder,
    about: { name: 'tiny', baseName: 'tiny', parameters: 1500, license: 'apache-2.0', tags: ['attune', 'text-generation'] },
    type,
    tensors: sources,
  });
  return { ...(await readGguf(path)), bytes, sha256 };
}

/** First number of each row. */
function rows(tensor: { shape: number[]; data: Buffer }): number[] {
  const columns = tensor.shape.length > 1 ? tensor.shape[0] : 1;
  return Array.from({ length: tensor.data.length / 4 / columns }, (_, r) => tensor.data.readFloatLE(4 * r * columns));
}

it('writes the metadata llama.cpp asks for', async () => {
  const { metadata } = await write({ head_dim: 4 }, 'f16', tensors(SHAPES));
  expect(Object.fromEntries(metadata)).toEqual({
    'general.architecture': 'llama',
    'general.type': 'model',
    'general.name': 'tiny',
    'general.basename': 'tiny',
    'general.version': 'v1.0',
    'general.size_label': '1.5K',
    'general.license': 'apache-2.0',
    'general.tags': ['attune', 'text-generation'],
    'general.file_type': 1,
    'general.quantization_version': 2,
    'llama.vocab_size': 5,
    'llama.context_length': 64,
    'llama.embedding_length': 8,
    'llama.block_count': 1,
    'llama.feed_forward_length': 6,
    'llama.attention.head_count': 2,
    'llama.attention.head_count_kv': 1,
    'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
    'llama.attention.key_length': 4,
    'llama.attention.value_length': 4,
    'llama.rope.freq_base': 10000,
    'llama.rope.dimension_count': 4,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<|end|>', '[PAD4]'],
    'tokenizer.ggml.token_type': [1, 1, 1, 3, 5],
    'tokenizer.ggml.merges': ['a b'],
    'tokenizer.ggml.eos_token_id': 3,
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.ggml.add_eos_token': false,
    'tokenizer.chat_template': 'T',
  });
});

it('writes every tensor under its name, reversed shape and type, in an order that does not depend on the source', async () => {
  const file = await write({}, 'f32', tensors(SHAPES));
  expect([...file.tensors].map(([name, { shape }]) => `${name} ${shape.join('x')}`)).toEqual([
    'token_embd.weight 8x5',
    'blk.0.attn_norm.weight 8',
    'blk.0.attn_q.weight 8x8',
    'blk.0.attn_k.weight 8x4',
    'blk.0.attn_v.weight 8x4',
    'blk.0.attn_output.weight 8x8',
    'blk.0.ffn_norm.weight 8',
    'blk.0.ffn_gate.weight 8x6',
    'blk.0.ffn_up.weight 8x6',
    'blk.0.ffn_down.weight 6x8',
    'output_norm.weight 8',
    'output.weight 8x5',
  ]);
  for (const { offset } of file.tensors.values()) expect(offset % 32).toBe(0);
  expect(rows(file.tensors.get('output.weight')!)).toEqual([0, 10, 20, 30, 40]);
  const reversed = await write({}, 'f32', tensors(SHAPES).reverse());
  expect(reversed.sha256).toBe(file.sha256);
});

it('puts the query and key rows of Llama in ggml order, and leaves those of Qwen', async () => {
  const llama = await write({}, 'f32', tensors(SHAPES));
  // heads of 4: row (half, i) moves to (i, half), so 0 1 | 2 3 becomes 0 2 1 3
  expect(rows(llama.tensors.get('blk.0.attn_q.weight')!)).toEqual([0, 20, 10, 30, 40, 60, 50, 70]);
  expect(rows(llama.tensors.get('blk.0.attn_k.weight')!)).toEqual([0, 20, 10, 30]);
  expect(rows(llama.tensors.get('blk.0.attn_v.weight')!)).toEqual([0, 10, 20, 30]);
  const norms = { 'model.layers.0.self_attn.q_norm.weight': [4], 'model.layers.0.self_attn.k_norm.weight': [4] };
  const qwen = await write({ model_type: 'qwen3', head_dim: 4 }, 'f32', tensors({ ...SHAPES, ...norms }));
  expect(rows(qwen.tensors.get('blk.0.attn_q.weight')!)).toEqual([0, 10, 20, 30, 40, 50, 60, 70]);
  expect(qwen.tensors.has('blk.0.attn_k_norm.weight')).toBe(true);
  const biases = { q: [8], k: [4], v: [4], o: [8] };
  const biased = await write({ attention_bias: true }, 'f32', tensors({ ...SHAPES, ...Object.fromEntries(Object.entries(biases).map(([part, shape]) => [`model.layers.0.self_attn.${part}_proj.bias`, shape])) }));
  expect(rows(biased.tensors.get('blk.0.attn_k.bias')!)).toEqual([0, 20, 10, 30]);
});

it('keeps norms in F32, and rows that are no multiple of 32 out of Q8_0', async () => {
  const wide = { hidden_size: 64, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: 5 };
  const shapes = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [name, shape.map((d) => (d === 8 ? 64 : d === 4 ? 32 : d))]),
  );
  const types = async (type: GgufType) => {
    const { tensors: written } = await write(wide, type, tensors(shapes));
    return ['blk.0.attn_norm.weight', 'blk.0.attn_q.weight', 'blk.0.ffn_down.weight'].map((name) => written.get(name)!.type);
  };
  expect(await types('q8_0')).toEqual([0, 8, 1]); // ffn_down has rows of 6
  expect(await types('bf16')).toEqual([0, 30, 30]);
  expect(await types('f16')).toEqual([0, 1, 1]);
});

it('writes a tied head once, under whichever name it is stored', async () => {
  const { 'lm_head.weight': head, 'model.embed_tokens.weight': embedding, ...others } = SHAPES;
  for (const shapes of [{ ...others, 'lm_head.weight': head }, { ...others, 'model.embed_tokens.weight': embedding }, SHAPES]) {
    const { tensors: written } = await write({ tie_word_embeddings: true }, 'f32', tensors(shapes));
    expect(written.has('output.weight')).toBe(false);
    expect(rows(written.get('token_embd.weight')!)).toEqual([0, 10, 20, 30, 40]);
  }
});

it('refuses a number float16 has no room for, by the name of its tensor', async () => {
  const sources = tensors(SHAPES).map((source) => (source.name.endsWith('k_proj.weight') ? { ...source, read: () => Promise.resolve(new Float32Array(32).fill(65520)) } : source));
  await expect(write({}, 'f16', sources)).rejects.toThrow('tensor blk.0.attn_k.weight holds 65520, and the largest number of f16 is 65504');
});

it('takes the raw bits of half-precision sources', async () => {
  const sources = tensors(SHAPES).map((source) => {
    if (source.name !== 'model.norm.weight') return source;
    return { ...source, dtype: 'BF16' as const, read: () => Promise.resolve(new Uint16Array(8).fill(0x3f80)) };
  });
  const { tensors: written } = await write({}, 'f32', sources);
  expect(rows(written.get('output_norm.weight')!)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
});

it('turns rope scaling into what llama.cpp reads', async () => {
  const linear = await write({ rope_scaling: { type: 'linear', factor: 2 } }, 'f32', tensors(SHAPES));
  expect(linear.metadata.get('llama.rope.scaling.type')).toBe('linear');
  expect(linear.metadata.get('llama.rope.scaling.factor')).toBe(2);
  const llama3 = {
    rope_type: 'llama3',
    rope_theta: 100,
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 120,
  };
  const scaled = await write({ rope_parameters: llama3 }, 'f32', tensors(SHAPES));
  expect(scaled.metadata.get('llama.rope.freq_base')).toBe(100);
  // Heads of 4 have two frequencies: 1 and 100^(-1/2). Wavelengths 6.28, below 120 / 4, stays; 62.83 lies between 30 and 120:
  // smooth = (120 / 62.83 - 1) / 3 = 0.30329, factor = 1 / ((1 - 0.30329) / 8 + 0.30329) = 2.5615
  const factors = rows(scaled.tensors.get('rope_freqs.weight')!);
  expect(factors[0]).toBe(1);
  expect(factors[1]).toBeCloseTo(2.5615, 3);
});

it('refuses what llama.cpp would run differently or not load', async () => {
  const { 'model.norm.weight': _, ...incomplete } = SHAPES;
  const cases: [config: Record<string, unknown>, shapes: Record<string, number[]>, message: RegExp][] = [
    [{ model_type: 'bert' }, SHAPES, /architecture bert is not supported/],
    [{ hidden_size: undefined }, SHAPES, /hidden_size is missing/],
    [{ rope_scaling: { rope_type: 'dynamic', factor: 2 } }, SHAPES, /rope scaling dynamic/],
    [{ rope_scaling: { rope_type: 'yarn', factor: 2, beta_fast: 3 } }, SHAPES, /beta_fast/],
    [{ model_type: 'qwen2', rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 120 } }, SHAPES, /llama3 rope scaling has no counterpart in llama\.cpp's qwen2/],
    [{ hidden_act: 'gelu' }, SHAPES, /hidden_act is "gelu"/],
    [{ vocab_size: 6 }, SHAPES, /embed_tokens.weight has shape \[5, 8\], config.json makes it \[6, 8\]/],
    [
      { vocab_size: 3 },
      { ...SHAPES, 'model.embed_tokens.weight': [3, 8], 'lm_head.weight': [3, 8] },
      /token "<\|end\|>" has id 3 but the model has 3 embedding rows/,
    ],
    [{}, incomplete, /tensor model.norm.weight is missing/],
    [{ num_hidden_layers: 2 }, SHAPES, /tensor model.layers.1.input_layernorm.weight is missing/],
    [{}, { ...SHAPES, 'model.layers.0.self_attn.q_norm.weight': [4] }, /q_norm.weight has no place in a llama GGUF/],
    [{}, { ...SHAPES, 'score.weight': [1, 8] }, /tensor score.weight has no place/],
    [{ model_type: 'qwen3', head_dim: 4 }, SHAPES, /q_norm.weight is missing/],
  ];
  for (const [config, shapes, message] of cases) await expect(write(config, 'f32', tensors(shapes))).rejects.toThrow(message);
});

it('leaves nothing behind when a tensor cannot be read', async () => {
  const sources = tensors(SHAPES);
  sources[3].read = () => Promise.resolve(new Float32Array(3));
  await expect(write({}, 'f32', sources)).rejects.toThrow(/blk.0.ffn_down.weight has 3 values where its shape needs 48/);
  expect((await readdir(root)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  expect(await readdir(root)).not.toContain(`${count - 1}.gguf`);
});

it('a vocabulary of 200,000 tokens is written and read', async () => {
  const path = join(root, 'long.gguf');
  const strings = Array.from({ length: 200_000 }, (_, id) => `token ${id}`);
  await writeGgufFile(path, [['tokenizer.ggml.tokens', { strings }]], []);
  expect((await readGgufMetadata(path)).get('tokenizer.ggml.tokens')).toEqual(strings);
});
