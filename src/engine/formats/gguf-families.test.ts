/** Every family through GGUF and back: the same tensors to the bit, the same config, the same logits. Through llama.cpp itself: e2e/slow/llamacpp.test.ts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { parseModelConfig } from '../model/config.ts';
import { families } from '../model/families.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { packed } from '../model/testing.ts';
import { ggufFamilies, notesOf } from './gguf-families.ts';
import { ggufOf, tinyConfigs, tinyFolder } from './gguf-testing.ts';
import { openModelFolder } from './model-folder.ts';

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-gguf-families-'))));
afterAll(() => rm(root, { recursive: true }));

const TEXT = [5, 17, 80, 3, 44, 120, 9, 9, 61, 200, 31, 77, 150, 6, 18, 25, 90, 101, 250, 12];

async function logitsOf(path: string): Promise<Float32Array> {
  const folder = await openModelFolder(path);
  const model = await loadLanguageModel(createReferenceDevice(), folder, { storage: 'f32', trainable: 'none' });
  await folder.close();
  const logits = await model.logits({ ...packed([TEXT]), rows: Int32Array.from(TEXT, (_, i) => i) });
  model.free();
  return logits;
}

test.each(Object.keys(tinyConfigs))('%s goes to GGUF and back bit for bit', async (name) => {
  const folder = await tinyFolder(root, name);
  const file = await ggufOf(folder, 'f32');
  const [own, back] = [await openModelFolder(folder), await openModelFolder(file)];
  const shifted = parseModelConfig(own.config, name).normOffset === 1;
  const names = [...own.tensors.keys()].sort();
  expect([...back.tensors.keys()].filter((tensor) => names.includes(tensor)).sort()).toEqual(names);
  for (const tensor of names) {
    expect(back.tensors.get(tensor)!.shape, tensor).toEqual(own.tensors.get(tensor)!.shape);
    const [wanted, got] = [await own.read(tensor), await back.read(tensor)];
    // Gemma's norms lie in GGUF plus 1, which takes the last bits of small ones: half an ulp of a number below 2
    if (shifted && tensor.endsWith('norm.weight')) expect(Math.max(...wanted.map((x, i) => Math.abs(x - got[i]!)))).toBeLessThanOrEqual(2 ** -24);
    else expect(Buffer.from(got.buffer).equals(Buffer.from(wanted.buffer)), tensor).toBe(true);
  }
  const settled = (config: Record<string, unknown>) => ({ ...parseModelConfig(config, name), initializerRange: 0, normEps: Math.fround(parseModelConfig(config, name).normEps), tieWordEmbeddings: null });
  const [wanted, got] = [settled(own.config), settled(back.config)];
  expect(JSON.parse(JSON.stringify(got, roughly))).toEqual(JSON.parse(JSON.stringify(wanted, roughly)));
  await Promise.all([own.close(), back.close()]);
  const [expected, logits] = [await logitsOf(folder), await logitsOf(file)];
  const difference = Math.max(...expected.map((x, i) => Math.abs(x - logits[i]!)));
  expect(difference).toBeLessThanOrEqual(shifted ? 1e-3 : 1e-5); // the config's numbers are float32 in a GGUF
});

/** GGUF keeps float32. */
const roughly = (_: string, value: unknown): unknown => (typeof value === 'number' && !Number.isInteger(value) ? value.toPrecision(6) : value);

test('each family has a row or is named as having none, and a test here', () => {
  expect(Object.keys(ggufFamilies).filter((stem) => !Object.hasOwn(families, stem))).toEqual([]);
  const tested = new Set(Object.values(tinyConfigs).map(({ architectures }) => String((architectures as string[])[0]).replace(/(ForCausalLM|LMHeadModel)$/, '')));
  expect(Object.keys(ggufFamilies).filter((stem) => !tested.has(stem))).toEqual([]);
});

test.each([
  ['gemma2', { query_pre_attn_scalar: 24 }, /a scale of attention other than 0\.1768 \(query_pre_attn_scalar\) has no counterpart in llama\.cpp's gemma2/],
  ['smollm3', { no_rope_layer_interval: 2 }, /this choice of no_rope_layers/],
  ['qwen2', { use_sliding_window: true, sliding_window: 8, max_window_layers: 1 }, /use_sliding_window/],
  ['neox', { attention_bias: false }, /attention without biases/],
  ['olmo2', { attention_bias: true }, /a bias of the output or MLP linears/],
  ['gemma', { tie_word_embeddings: false }, /a head that is not the embedding/],
  ['qwen3', { rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 } }, /llama3 rope scaling has no counterpart in llama\.cpp's qwen3/],
  ['qwen2-moe', { norm_topk_prob: true }, /norm_topk_prob: true has no counterpart in llama\.cpp's qwen2moe/],
  ['qwen3-moe', { norm_topk_prob: false }, /norm_topk_prob: false has no counterpart in llama\.cpp's qwen3moe/],
  ['qwen3-moe', { mlp_only_layers: [1] }, /a layer without experts \(mlp_only_layers, decoder_sparse_step\)/],
  ['qwen3-moe', { decoder_sparse_step: 9 }, /a layer without experts/],
  ['qwen2-moe', { use_sliding_window: true, sliding_window: 8, max_window_layers: 4 }, /use_sliding_window/],
])('%s with %o is refused, since llama.cpp would run another model', async (name, fields, message) => {
  const folder = await tinyFolder(join(root, 'refused'), name, { ...tinyConfigs[name], ...fields });
  await expect(ggufOf(folder, 'f32')).rejects.toThrow(message);
});

test('what differs only in long texts or last digits is told', () => {
  const notes = (name: string) => notesOf(parseModelConfig(tinyConfigs[name]!, name));
  expect(notes('mistral')).toEqual([expect.stringMatching(/attends to the last 64 tokens, llama\.cpp to all/)]);
  expect(notes('mixtral')).toEqual([expect.stringMatching(/attends to the last 64 tokens/)]);
  expect(notes('phi3-longrope')).toEqual([expect.stringMatching(/last 100 tokens/), expect.stringMatching(/run it with -c 256/)]);
  expect(notes('neox')).toEqual([expect.stringMatching(/exact GELU/)]);
  expect(notes('llama')).toEqual([]);
});
