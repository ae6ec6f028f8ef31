import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { readAdapter, writeAdapter } from './peft.ts';
import { openSafetensors, writeSafetensors, type TensorSource } from './safetensors.ts';

let root: string;
let folder: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-peft-'));
});
afterAll(() => rm(root, { recursive: true }));

const Q = 'model.layers.0.self_attn.q_proj';
const V = 'model.layers.1.self_attn.v_proj';
/** r = 2; q_proj 3 → 4, v_proj 3 → 1. */
beforeEach(async () => {
  folder = join(root, String(count++));
  const numbers = (n: number, from: number) => () => Promise.resolve(Float32Array.from({ length: n }, (_, i) => from + i));
  await writeAdapter(folder, {
    lora: { r: 2, loraAlpha: 6, loraDropout: 0.1, targetModules: ['v_proj', 'q_proj'] },
    baseModel: 'base',
    modules: [
      { name: V, a: numbers(6, 30), b: numbers(2, 40), inFeatures: 3, outFeatures: 1 },
      { name: Q, a: numbers(6, 0), b: numbers(8, 10), inFeatures: 3, outFeatures: 4 },
    ],
    score: null,
  });
});

/** Changes fields of adapter_config.json. */
async function change(fields: Record<string, unknown>): Promise<void> {
  const path = join(folder, 'adapter_config.json');
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...fields }));
}

it('reads back what it wrote', async () => {
  const adapter = await readAdapter(folder);
  expect(adapter).toMatchObject({ r: 2, loraAlpha: 6, loraDropout: 0.1, targetModules: ['q_proj', 'v_proj'], baseModel: 'base' });
  expect([...adapter.tensors.keys()].sort()).toEqual([Q, V]);
  expect([...adapter.tensors.get(Q)!.a]).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...adapter.tensors.get(V)!.b]).toEqual([40, 41]);
});

it('says all-linear by the names of the linears that have an update', async () => {
  const none = () => Promise.resolve(new Float32Array(2));
  const out = join(folder, 'all');
  await writeAdapter(out, {
    lora: { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['all-linear'] }, baseModel: 'base', score: null,
    modules: ['h.0.attn.c_proj', 'h.0.mlp.c_proj', 'h.0.attn.c_attn'].map((name) => ({ name, a: none, b: none, inFeatures: 1, outFeatures: 1 })),
  });
  expect(JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8'))).toMatchObject({ target_modules: ['c_attn', 'c_proj'] });
});

it('names tensors and fields as PEFT does', async () => {
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  expect([...file.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual([
    [`base_model.model.${Q}.lora_A.weight`, [2, 3]],
    [`base_model.model.${Q}.lora_B.weight`, [4, 2]],
    [`base_model.model.${V}.lora_A.weight`, [2, 3]],
    [`base_model.model.${V}.lora_B.weight`, [1, 2]],
  ]);
  await file.close();
  expect(JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: 2,
    lora_alpha: 6,
    lora_dropout: 0.1,
    target_modules: ['q_proj', 'v_proj'],
    bias: 'none',
    inference_mode: true,
  });
});

it('turns the rank-stabilised scale into the plain one', async () => {
  await change({ use_rslora: true, lora_alpha: 6 });
  // PEFT scales by 6 / √2; the same as alpha / 2 with alpha = 6 √2
  expect((await readAdapter(folder)).loraAlpha / 2).toBeCloseTo(6 / Math.SQRT2, 12);
});

it('refuses every feature that would change what the matrices mean, by name', async () => {
  const features: Record<string, unknown> = {
    bias: 'all',
    lora_bias: true,
    trainable_token_indices: [1],
    target_parameters: ['x'],
    layer_replication: [[0, 1]],
  };
  for (const [field, value] of Object.entries(features)) {
    const off = {
      bias: 'none',
      lora_bias: false,
      trainable_token_indices: null,
      target_parameters: null,
      layer_replication: null,
    };
    await change({ ...off, [field]: value });
    await expect(readAdapter(folder)).rejects.toThrow(new RegExp(`adapter_config.json: ${field} is .* not supported`));
  }
});

it('refuses what its tensors do not bear out, and starts that change the base', async () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ use_dora: true }, /q_proj.lora_A.weight has no partner .*q_proj.lora_magnitude_vector/],
    [{ use_dora: false, modules_to_save: ['lm_head'] }, /modules_to_save names "lm_head", but adapter_model.safetensors has nothing of it/],
    [{ modules_to_save: 'lm_head' }, /modules_to_save is "lm_head"; expected a list/],
    [{ modules_to_save: null, rank_pattern: { q_proj: 4 } }, /lora_A.weight has shape \[2, 3\], not fitting r = 4/],
    [{ rank_pattern: { q_proj: 1.5 } }, /rank_pattern gives q_proj 1.5; expected a whole number above 0/],
    [{ rank_pattern: {}, alpha_pattern: { '(': 4 } }, /alpha_pattern names modules by "\(", which is no regular expression/],
    [{ alpha_pattern: {}, init_lora_weights: 'pissa' }, /init_lora_weights is "pissa", which changes the base model too/],
  ];
  for (const [fields, message] of cases) {
    await change(fields);
    await expect(readAdapter(folder)).rejects.toThrow(message);
  }
});

it('scales single modules by alpha_pattern, the first key that matches, with r or its root', async () => {
  await change({ alpha_pattern: { 'layers.0.self_attn.q_proj': 10, '.*_proj': 8 } });
  const scales = async () => [...(await readAdapter(folder)).tensors].sort().map(([, { scale }]) => scale);
  expect(await scales()).toEqual([5, 4]);
  await change({ use_rslora: true });
  expect(await scales()).toEqual([10 / Math.SQRT2, 8 / Math.SQRT2]);
});

it('refuses configs and tensors that do not fit', async () => {
  await change({ r: 4 });
  await expect(readAdapter(folder)).rejects.toThrow(/lora_A.weight has shape \[2, 3\], not fitting r = 4/);
  await change({ r: 0 });
  await expect(readAdapter(folder)).rejects.toThrow('r is 0; expected a whole number');
  await change({ r: 2, peft_type: 'IA3' });
  await expect(readAdapter(folder)).rejects.toThrow('peft_type is "IA3"');
  await change({ peft_type: 'LORA' });
  const tensor = (name: string, shape: number[]): TensorSource => ({
    name: `base_model.model.${name}.weight`,
    shape,
    dtype: 'F32',
    read: () => Promise.resolve(new Float32Array(shape[0] * shape[1])),
  });
  const path = join(folder, 'adapter_model.safetensors');
  await writeSafetensors(path, [tensor(`${Q}.lora_A`, [2, 3])]);
  await expect(readAdapter(folder)).rejects.toThrow(/has no partner .*q_proj.lora_B.weight/);
  await writeSafetensors(path, [tensor(`${Q}.lora_A`, [2, 3]), tensor(`${Q}.lora_B`, [4, 2]), tensor(`${V}.lora_B`, [1, 2])]);
  await expect(readAdapter(folder)).rejects.toThrow(/has no partner .*v_proj.lora_A.weight/);
  await writeSafetensors(path, [tensor('embed.lora_embedding_A', [2, 3])]);
  await expect(readAdapter(folder)).rejects.toThrow('tensor base_model.model.embed.lora_embedding_A.weight is neither a LoRA matrix');
  await writeSafetensors(path, []);
  await expect(readAdapter(folder)).rejects.toThrow('holds no LoRA matrices');
  await rm(path);
  await expect(readAdapter(folder)).rejects.toThrow('adapter_model.safetensors: there is no such file');
});
