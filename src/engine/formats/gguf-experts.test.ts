/**
 * Mixtures of experts as GGUF: files the gguf package wrote (fixtures/gguf-mixtures) against transformers' logits, names and types of what is written,
 * frozen blocks, adapters, and what is refused. There and back bit for bit: gguf-families.test.ts; through llama.cpp itself: e2e/slow/llamacpp.test.ts.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import type { ExportJob, ParityJob } from '../../shared/job.ts';
import type { ExportResult } from '../../shared/job-results.ts';
import { describe as describeFolders } from '../jobs/describe.ts';
import { exportModel } from '../jobs/export.ts';
import { checkParity } from '../jobs/parity.ts';
import { parseModelConfig } from '../model/config.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { packed, relativeError } from '../model/testing.ts';
import { createRandom } from '../random.ts';
import { readConfig } from './gguf-config.ts';
import { expertsOf } from './gguf-experts.ts';
import { ggufTensors } from './gguf-families.ts';
import { readGgufAdapter, writeGgufAdapter } from './gguf-lora.ts';
import { tensorType } from './gguf-mixture.ts';
import { ggufFileName } from './gguf-name.ts';
import { openGgufTensors } from './gguf-reader.ts';
import { about, fusedFolder, ggufOf, tinyConfigs, tinyFolder } from './gguf-testing.ts';
import { openModelFolder, writeModelFolder } from './model-folder.ts';
import type { ReadAdapter } from './peft.ts';
import type { TensorSource } from './safetensors.ts';

const fixtures = resolve(import.meta.dirname, '../../../fixtures/gguf-mixtures');
const golden = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')) as Record<string, { inputIds: number[]; logits: number[] }>;
const root = mkdtempSync(join(tmpdir(), 'attune-gguf-experts-'));
afterAll(() => rmSync(root, { recursive: true }));
const config = (name: string) => parseModelConfig(tinyConfigs[name]!, name);

describe.each(Object.entries(golden))('%s of the gguf package', (name, { inputIds, logits }) => {
  const path = join(fixtures, `${name}.gguf`);
  const everyRow = { ...packed([inputIds]), rows: Int32Array.from(inputIds, (_, i) => i) };

  test('answers as transformers does with the same numbers', async () => {
    const opened = await openModelFolder(path);
    const model = await loadLanguageModel(createReferenceDevice(), opened, { storage: 'f32', trainable: 'none' });
    await opened.close();
    expect(relativeError(await model.logits(everyRow), logits)).toBeLessThan(1e-5);
    model.free();
  });

  test('stays in its blocks under LoRA, and is trained to the same bits with one thread and two', async () => {
    const run = async (threads: number) => {
      const opened = await openModelFolder(path);
      const model = await loadLanguageModel(createNativeDevice(threads), opened, { storage: 'stored', trainable: 'lora', seed: 1, lora: { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['all-linear'] } });
      await opened.close();
      const stored = (of: RegExp) => new Set([...model.frozen.values()].filter((parameter) => of.test(parameter.name)).map(({ tensor }) => tensor.storage));
      expect([stored(/\.experts\./), stored(/self_attn\.\w_proj\.weight|embed_tokens|lm_head/), stored(/(block_sparse_moe|mlp)\.gate\.weight|shared_expert_gate|norm/)]).toEqual([new Set(['q4_0']), new Set(['int8']), new Set(['f32'])]);
      const found = await model.logits(everyRow);
      const forward = await model.forward(packed([inputIds]), { gradient: true });
      model.backward(forward, new Float32Array(forward.logprobs.length).fill(-1));
      const gradients = await Promise.all(model.parameters.map(async ({ grad }) => [...((await model.device.read(grad!)) as Float32Array)]));
      model.free();
      return { found, gradients };
    };
    const [one, two] = [await run(1), await run(2)];
    expect(relativeError(one.found, logits)).toBeLessThan(1e-5);
    expect(one.gradients.flat().some((x) => x !== 0)).toBe(true);
    expect(two).toEqual(one);
  });

  test('tells of itself what it is', async () => {
    const [facts] = await describeFolders([path]);
    expect(facts).toMatchObject({ family: { mixtral: 'mixtral', qwen2moe: 'qwen2_moe', qwen3moe: 'qwen3_moe' }[name], problem: null });
    expect(facts!.activeParameters).toBeLessThan(facts!.parameters!);
  });
});

test('experts lie one after another in one tensor, routers in F32, and Q4_K_M gives the attention of eight experts more bits', async () => {
  const wide = { hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 2 };
  const path = await ggufOf(await tinyFolder(root, 'wide', { ...tinyConfigs.mixtral, ...wide }), 'q4_k_m');
  const file = await openModelFolder(path);
  const raw = await openGgufTensors(path);
  const dtypes = Object.fromEntries([...file.tensors].map(([tensor, { dtype }]) => [tensor.replace('model.layers.0.', ''), dtype]));
  expect(dtypes).toMatchObject({
    'self_attn.q_proj.weight': 'Q4_K', 'self_attn.k_proj.weight': 'Q8_0', 'self_attn.v_proj.weight': 'Q8_0', 'self_attn.o_proj.weight': 'Q5_K', 'block_sparse_moe.gate.weight': 'F32',
    'block_sparse_moe.experts.0.w1.weight': 'Q4_K', 'block_sparse_moe.experts.7.w2.weight': 'Q6_K', 'lm_head.weight': 'Q6_K',
  });
  expect(raw.tensors.get('blk.0.ffn_down_exps.weight')!.shape).toEqual([8, 256, 256]);
  expect(raw.metadata.get('llama.expert_count')).toBe(8);
  expect(raw.metadata.get('llama.expert_used_count')).toBe(2);
  await Promise.all([file.close(), raw.close()]);
  // another number of experts: as in a dense model
  const model = { architecture: 'qwen3moe', layers: 8, group: 2, tied: false, experts: 128 };
  const of = (name: string, layer: number) => tensorType('q4_k_m', { name, shape: [256, 256], layer }, model);
  expect([of('blk.0.attn_k.weight', 0), of('blk.0.attn_output.weight', 0), of('blk.0.ffn_down_exps.weight', 0), of('blk.1.ffn_down_exps.weight', 1)]).toEqual(['q4_k', 'q4_k', 'q6_k', 'q4_k']);
  expect(tensorType('q4_0', { name: 'blk.1.attn_k.weight', shape: [256, 256], layer: 1 }, { ...model, experts: 8 })).toBe('q8_0');
});

test.each([['q8_0', 0.02], ['q4_0', 0.3], ['bf16', 0.02], ['f16', 0.005]] as const)('%s comes back within its rounding', async (type, tolerance) => {
  const folder = await tinyFolder(join(root, type), 'qwen2-moe');
  const [own, back] = [await openModelFolder(folder), await openModelFolder(await ggufOf(folder, type))];
  for (const name of own.tensors.keys()) expect(relativeError(await back.read(name), await own.read(name)), name).toBeLessThan(tolerance);
  expect(back.tensors.get('model.layers.0.mlp.experts.4.up_proj.weight')!.dtype).toBe(type.toUpperCase());
  await Promise.all([own.close(), back.close()]);
});

async function exported(folder: string, format: ExportJob['format'], out: string): Promise<ExportResult> {
  const about = { baseName: 'tiny', base: folder, method: null, datasets: [], stated: {}, given: {} };
  const noDevice = () => {
    throw new Error('nothing is computed here');
  };
  mkdirSync(join(root, out));
  return exportModel({ type: 'export', model: { folder }, format, dtype: 'f32', out: join(root, out), name: 'tiny', about }, noDevice, () => {});
}

test('a folder whose experts lie fused, or in shards, is exported to the same bytes as one of single experts', async () => {
  const single = await tinyFolder(join(root, 'single'), 'qwen3-moe');
  const [whole, sharded] = [await openModelFolder(single), join(root, 'sharded')];
  const sources = [...whole.tensors.values()].map(({ name, shape }): TensorSource => ({ name, shape, dtype: 'F32', read: () => whole.read(name) }));
  const written = await writeModelFolder(sharded, { config: whole.config, generationConfig: null, tensors: sources, copyFrom: single }, 100_000);
  expect(written.filter(({ name }) => name.endsWith('.safetensors')).length).toBeGreaterThan(5);
  await whole.close();
  const [a, b] = await Promise.all([exported(single, 'gguf', 'of-single'), exported(await fusedFolder(root, single), 'gguf', 'of-fused')]);
  expect(b.files).toEqual(a.files);
  expect((await exported(sharded, 'gguf', 'of-shards')).files).toEqual(a.files);
  expect(a.files.map(({ name }) => name)).toEqual([expect.stringMatching(/^tiny-5x\d+K-v1\.0-F32\.gguf$/)]);
});

test.each(Object.keys(golden))('%s goes out again and passes its check, whichever format', async (name) => {
  const folder = join(fixtures, `${name}.gguf`);
  const device = createNativeDevice(1);
  const check = (files: ParityJob['exported']) => checkParity({
    type: 'parity', device: 'native', threads: 1, model: { folder }, template: 'chat', exported: files, prompts: [{ raw: 'abc' }, { raw: 'The' }], maxTokens: 8,
  }, device, () => {});
  for (const format of ['gguf', 'safetensors'] as const) {
    const { path } = await exported(folder, format, `${name}-${format}`);
    expect(await check(format === 'gguf' ? { gguf: path } : { folder: path })).toMatchObject({ equal: 2, prompts: 2 });
  }
});

test('a file is called by its experts', () => {
  const parsed = config('mixtral');
  const tensors = ggufTensors(parsed).map(({ huggingFace: name, shape }) => ({ name, shape }));
  // a layer: q and o 64·64, k and v 32·64, router 8·64, an expert's three of 96·64, norms 64; embedding, head and norm
  const one = 4 * (2 * 64 * 64 + 2 * 32 * 64 + 8 * 64 + 3 * 96 * 64 + 2 * 64) + 2 * 300 * 64 + 64;
  expect(expertsOf(parsed, tensors)).toEqual({ count: 8, parameters: one });
  expect(expertsOf(config('llama'), tensors)).toBeUndefined();
  expect(ggufFileName({ ...about('Mixtral'), parameters: 46.7e9, experts: { count: 8, parameters: 7.24e9 } }, 'q4_k_m', 'model')).toBe('Mixtral-8x7.2B-v1.0-Q4_K_M.gguf');
});

test.each([
  ['expert_gating_func', 2, /llama\.expert_gating_func is 2, and llama\.cpp's graph of this architecture has no such thing/],
  ['expert_weights_scale', 2.5, /expert_weights_scale is 2\.5/],
  ['expert_weights_norm', false, /expert_weights_norm is false/],
  ['expert_group_count', 4, /expert_group_count is 4/],
  ['expert_count', [8, 8], /llama\.expert_count is \[8,8\]; expected a number above 0/],
])('a file whose %s is %o is refused', async (key, value, message) => {
  const file = await openGgufTensors(join(fixtures, 'mixtral.gguf'));
  await file.close();
  const facts = { path: 'odd.gguf', tensors: file.tensors, factors: new Map<string, Float32Array>() };
  expect(readConfig({ ...facts, metadata: file.metadata })).toMatchObject({ model_type: 'mixtral', num_local_experts: 4, num_experts_per_tok: 2 });
  expect(() => readConfig({ ...facts, metadata: new Map([...file.metadata, [`llama.${key}`, value]]) })).toThrow(message);
});

describe('an adapter of experts', () => {
  const parsed = config('qwen2-moe');
  const random = createRandom(4);
  const drawn = (length: number) => Float32Array.from({ length }, () => random.normal());
  const update = (r: number, inputs: number, outputs: number, scale: number) => ({ a: drawn(r * inputs), b: drawn(outputs * r), r, scale, magnitude: null });
  const adapterOf = (tensors: ReadAdapter['tensors']): ReadAdapter => ({ r: 2, loraAlpha: 4, loraDropout: 0, targetModules: [], baseModel: null, baseWeights: 'stored', saved: new Map(), score: null, tensors });
  const expert = (e: number, part = 'up_proj') => `model.layers.1.mlp.experts.${e}.${part}`;

  test('is one tensor of one rank: ranks and scales of single experts are filled up, experts without one are zero', async () => {
    const path = join(root, 'experts.gguf');
    const [two, three] = [update(2, 64, 32, 2), update(3, 64, 32, 0.5)];
    await writeGgufAdapter(path, { config: parsed, adapter: adapterOf(new Map([[expert(0), two], [expert(4), three]])), about: about('tiny'), type: 'f32' });
    const raw = await openGgufTensors(path);
    expect([...raw.tensors].map(([name, { shape }]) => [name, shape])).toEqual([['blk.1.ffn_up_exps.weight.lora_a', [6, 3, 64]], ['blk.1.ffn_up_exps.weight.lora_b', [6, 32, 3]]]);
    await raw.close();
    const { tensors } = await readGgufAdapter(path, parsed);
    const product = ({ a, b, r, scale }: ReturnType<typeof update>) => Array.from({ length: 32 * 64 }, (_, i) => Array.from({ length: r }, (_, k) => scale * b[Math.floor(i / 64) * r + k]! * a[k * 64 + (i % 64)]!).reduce((x, y) => x + y, 0));
    for (const [e, wanted] of [[0, two], [4, three]] as const) expect(relativeError(product(tensors.get(expert(e)) as typeof two), product(wanted))).toBeLessThan(1e-6);
    expect(tensors.get(expert(2))!.b.every((x) => x === 0)).toBe(true);
  });

  test('of another number of experts is refused', async () => {
    const path = join(root, 'others.gguf');
    await writeGgufAdapter(path, { config: parsed, adapter: adapterOf(new Map([[expert(0), update(2, 64, 32, 2)]])), about: about('tiny'), type: 'f32' });
    await expect(readGgufAdapter(path, parseModelConfig({ ...tinyConfigs['qwen2-moe'], num_experts: 4 }, 'other'))).rejects.toThrow(/blk\.1\.ffn_up_exps\.weight\.lora_a has shape \[6, 2, 64\].*expected two matrices for each of 4 experts/);
  });
});
