import { expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { parseModelConfig } from './config.ts';
import { loadLanguageModel } from './language-model.ts';
import { checkTensors, drawParameter, type TensorFolder } from './parameters.ts';
import { packed, tinyConfig, tinyModel } from './testing.ts';

/** A drawn model's tensors as a folder has them, tied or not. */
async function folderOf(config: Record<string, unknown>): Promise<TensorFolder & { values: Map<string, Float32Array> }> {
  const tensors = (await tinyModel(createReferenceDevice(), {}, config)).tensors({ merge: false });
  const values = new Map(await Promise.all(tensors.map(async (t) => [t.name, await t.read()] as const)));
  return {
    folder: 'here', config: { ...tinyConfig, ...config }, values,
    tensors: new Map(tensors.map(({ name, shape }) => [name, { shape, file: 'here/model.safetensors' }])),
    read: async (name) => values.get(name)!,
  };
}
const rename = (folder: Awaited<ReturnType<typeof folderOf>>, from: string, to: string) => {
  folder.tensors.set(to, folder.tensors.get(from)!);
  folder.values.set(to, folder.values.get(from)!);
  folder.tensors.delete(from);
};
const check = (folder: TensorFolder) => checkTensors(parseModelConfig(folder.config, 'config.json'), folder);

test('a tied embedding is found under either of its names', async () => {
  const folder = await folderOf({ tie_word_embeddings: true });
  const logprobs = async () => (await (await loadLanguageModel(createReferenceDevice(), folder, { storage: 'f32', trainable: 'none' })).forward(packed([[1, 2, 3]]))).logprobs;
  const want = await logprobs();
  rename(folder, 'model.embed_tokens.weight', 'lm_head.weight');
  expect(await logprobs()).toEqual(want);
  folder.tensors.clear();
  expect(() => check(folder)).toThrow(/here: 20 tensors are missing: model.embed_tokens.weight, .* and 17 more/); // embedding, norm, 2 · 9
});

test('an old GPT-2 folder, without the prefix, is the same model', async () => {
  const gpt2 = { architectures: ['GPT2LMHeadModel'], vocab_size: 50, n_embd: 32, n_head: 4, n_layer: 2, n_positions: 16, n_inner: null, num_attention_heads: undefined };
  const folder = await folderOf(gpt2);
  const logprobs = async () => (await (await loadLanguageModel(createReferenceDevice(), folder, { storage: 'f32', trainable: 'none' })).forward(packed([[1, 2, 3]]))).logprobs;
  const want = await logprobs();
  for (const name of [...folder.tensors.keys()]) rename(folder, name, name.replace('transformer.', ''));
  check(folder);
  expect(await logprobs()).toEqual(want);
});

test('an untied head must be there, and the way out is named', async () => {
  const folder = await folderOf({ tie_word_embeddings: false });
  check(folder);
  folder.tensors.delete('lm_head.weight');
  expect(() => check(folder)).toThrow('here: 1 tensor is missing: lm_head.weight; if the head is the embedding, config.json must say tie_word_embeddings: true');
});

test('a tensor of a wrong shape, or without a place, is named', async () => {
  const folder = await folderOf({});
  folder.tensors.set('model.layers.1.self_attn.k_proj.bias', { shape: [16], file: 'here/model.safetensors' });
  expect(() => check(folder)).toThrow(/1 tensor has no place in a LlamaForCausalLM of this config.json: model.layers.1.self_attn.k_proj.bias/);
  folder.tensors.set('model.layers.1.mlp.up_proj.weight', { shape: [32, 48], file: 'here/model.safetensors' });
  expect(() => check(folder)).toThrow('here/model.safetensors: tensor model.layers.1.mlp.up_proj.weight has shape [32, 48], but config.json makes it [48, 32]');
});

test('new weights are normal with initializer_range, norms 1, biases 0, and hang on seed and name alone', () => {
  const config = parseModelConfig({ ...tinyConfig, initializer_range: 0.02 }, 'config.json');
  const weight = drawParameter(config, 'a.weight', 10000, 1);
  const deviation = Math.sqrt(weight.reduce((sum, x) => sum + x * x, 0) / 10000);
  expect(Math.abs(deviation - 0.02)).toBeLessThan(0.0007); // standard error 0.02 / √20000 = 0.00014
  expect(drawParameter(config, 'a.weight', 10000, 1)).toEqual(weight);
  expect(drawParameter(config, 'b.weight', 10000, 1)).not.toEqual(weight);
  expect([...drawParameter(config, 'model.norm.weight', 2, 1), ...drawParameter(config, 'a.bias', 2, 1)]).toEqual([1, 1, 0, 0]);
});
