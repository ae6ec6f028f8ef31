/** What must hold of the model whatever its weights are; that they are the right numbers is parity.test.ts. */
import { expect, test } from 'vitest';
import { Optimizer } from '../../shared/recipe.ts';
import type { Batch } from '../data/batch.ts';
import type { Device } from '../device/device.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { createAdamW } from '../optim/adamw.ts';
import { createRandom } from '../random.ts';
import { loadLanguageModel, type LanguageModel } from './language-model.ts';
import type { ReadAdapter } from './lora.ts';
import { configFolder, gradients, packed, relativeError, tinyConfig, tinyModel } from './testing.ts';

const lora = { r: 3, loraAlpha: 6, loraDropout: 0, targetModules: ['q_proj', 'v_proj', 'o_proj', 'gate_proj', 'down_proj'] };
const random = createRandom(9);
const draw = (length: number) => Array.from({ length }, () => random.int(50));
const sequences = [draw(7), draw(12), draw(4)];
const batch = packed(sequences);
/** An upstream gradient per site, all different. */
const upstream = (sites: number) => Float32Array.from({ length: sites }, (_, i) => Math.sin(1 + i));

/** In training mode, so that dropout is part of the function whose slope is taken. */
const weightedSum = async (model: LanguageModel, of: Batch) => {
  model.dropoutSeed = 5;
  const forward = await model.forward(of, { gradient: true });
  const { logprobs } = forward;
  model.backward(forward, new Float32Array(logprobs.length));
  return logprobs.reduce((sum, x, i) => sum + x * upstream(logprobs.length)[i]!, 0);
};
const backward = async (model: LanguageModel, of: Batch, seed = 5) => {
  model.zeroGrad();
  model.dropoutSeed = seed;
  const forward = await model.forward(of, { gradient: true });
  model.backward(forward, upstream(of.rows.length));
  return { forward, gradients: await gradients(model) };
};
/** Gives a new adapter a B that is not zero, so that it does something. */
const stir = (model: LanguageModel) => {
  const noise = createRandom(4);
  for (const { name, tensor } of model.parameters) {
    if (name.includes('lora_B')) model.device.write(tensor, Float32Array.from({ length: tensor.length }, () => 0.2 * noise.normal()));
  }
};

test.each([
  ['llama with biases, untied', { attention_bias: true, mlp_bias: true, tie_word_embeddings: false }, {}],
  ['qwen2', { architectures: ['Qwen2ForCausalLM'] }, {}],
  ['qwen3', { architectures: ['Qwen3ForCausalLM'], head_dim: 6 }, {}],
  ['llama with LoRA', {}, { trainable: 'lora' as const, lora }],
  ['llama with LoRA, dropout and checkpointing', {}, { trainable: 'lora' as const, lora: { ...lora, loraDropout: 0.4 }, gradientCheckpointing: true }],
])('gradients of %s are those of central differences', async (_, config, options) => {
  const device = createReferenceDevice();
  const model = await tinyModel(device, options, config);
  stir(model);
  const { gradients: grads } = await backward(model, batch);
  const directions = createRandom(2);
  for (const { name, tensor } of model.parameters) {
    // Along a random direction of each parameter: f32 sums lose about 1e-6, ε of 1e-2 leaves a curvature of about 1e-4.
    const direction = Float32Array.from({ length: tensor.length }, () => directions.normal());
    const size = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
    const values = (await device.read(tensor)) as Float32Array;
    const at = async (epsilon: number) => {
      device.write(tensor, values.map((x, i) => x + (epsilon * direction[i]!) / size));
      return weightedSum(model, batch);
    };
    const slope = ((await at(0.01)) - (await at(-0.01))) / 0.02;
    device.write(tensor, values);
    const expected = grads.get(name)!.reduce((sum, g, i) => sum + (g * direction[i]!) / size, 0);
    expect(Math.abs(slope - expected), `${name}: ${slope} and ${expected}`).toBeLessThan(3e-3 * Math.max(1, Math.abs(expected)));
  }
});

test('a packed batch gives the same log-probs and gradients as its sequences alone', async () => {
  const model = await tinyModel(createReferenceDevice());
  const together = await backward(model, batch);
  model.zeroGrad();
  const logprobs: number[] = [];
  for (const ids of sequences) {
    const alone = packed([ids]);
    const forward = await model.forward(alone, { gradient: true });
    model.backward(forward, upstream(batch.rows.length).subarray(logprobs.length, logprobs.length + alone.rows.length));
    logprobs.push(...forward.logprobs);
  }
  expect(relativeError(together.forward.logprobs, logprobs)).toBeLessThan(1e-6);
  for (const [name, alone] of await gradients(model)) expect(relativeError(together.gradients.get(name)!, alone), name).toBeLessThan(1e-5);
});

test('answers that share their prompt give the same as answers with a prompt each', async () => {
  const model = await tinyModel(createReferenceDevice());
  const [prompt, chosen, rejected] = [draw(6), draw(4), draw(7)];
  // Sites: each answer's tokens, its first one predicted by the prompt's last row.
  const sites = (firstRows: number[][]) => ({
    rows: Int32Array.from(firstRows.flat()), targets: Int32Array.from([...chosen, ...rejected]),
    sequences: Int32Array.from([...chosen.map(() => 0), ...rejected.map(() => 1)]), sequenceCount: 2,
  });
  const count = (from: number, length: number) => Array.from({ length }, (_, i) => from + i);
  const prefix = { start: 0, length: 6 };
  const shared: Batch = {
    tokens: Int32Array.from([...prompt, ...chosen, ...rejected]),
    positions: Int32Array.from([...count(0, 6), ...count(6, 4), ...count(6, 7)]),
    segments: [{ ...prefix, prefix: null }, { start: 6, length: 4, prefix }, { start: 10, length: 7, prefix }],
    ...sites([[5, ...count(6, 3)], [5, ...count(10, 6)]]),
  };
  const apart: Batch = {
    tokens: Int32Array.from([...prompt, ...chosen, ...prompt, ...rejected]),
    positions: Int32Array.from([...count(0, 10), ...count(0, 13)]),
    segments: [{ start: 0, length: 10, prefix: null }, { start: 10, length: 13, prefix: null }],
    ...sites([count(5, 4), count(15, 7)]),
  };
  const [one, two] = [await backward(model, shared), await backward(model, apart)];
  expect(relativeError(one.forward.logprobs, two.forward.logprobs)).toBeLessThan(1e-6);
  for (const [name, grad] of two.gradients) expect(relativeError(one.gradients.get(name)!, grad), name).toBeLessThan(1e-5);
});

test('decoding with a cache, in pieces and from a shared prefix, gives the logits of the whole', async () => {
  const model = await tinyModel(createReferenceDevice(), { trainable: 'none' });
  const [prompt, left, right] = [draw(6), draw(5), draw(3)];
  const lastRow = async (ids: number[]) => model.logits({ ...packed([ids]), rows: Int32Array.of(ids.length - 1) });
  const cache = model.createCache(40);
  const prefix = cache.open(6);
  expect(relativeError(await model.decode(cache, [{ sequence: prefix, tokens: prompt }]), await lastRow(prompt))).toBeLessThan(1e-5);
  const [a, b] = [cache.open(8, prefix), cache.open(8, prefix)];
  await model.decode(cache, [{ sequence: a, tokens: left.slice(0, 4) }, { sequence: b, tokens: right.slice(0, 1) }]);
  const got = await model.decode(cache, [{ sequence: b, tokens: right.slice(1) }, { sequence: a, tokens: left.slice(4) }]);
  const want = [...(await lastRow([...prompt, ...right])), ...(await lastRow([...prompt, ...left]))];
  expect(relativeError(got, want)).toBeLessThan(1e-5);
});

test('checkpointed layers give the same bits, with dropout too', async () => {
  for (const options of [{}, { trainable: 'lora' as const, lora: { ...lora, loraDropout: 0.3 } }]) {
    const runs = await Promise.all([false, true].map(async (gradientCheckpointing) => {
      const model = await tinyModel(createReferenceDevice(), { ...options, gradientCheckpointing });
      stir(model);
      return backward(model, batch);
    }));
    expect(runs[1]!.gradients).toEqual(runs[0]!.gradients);
    expect(runs[1]!.forward.logprobs).toEqual(runs[0]!.forward.logprobs);
  }
});

test('LoRA trains only its own tensors, starts as the base, and its dropout hangs on dropoutSeed', async () => {
  const device = createReferenceDevice();
  const base = await tinyModel(device, { trainable: 'none' });
  const model = await tinyModel(device, { trainable: 'lora', lora: { ...lora, loraDropout: 0.5 } });
  expect(model.parameters.length).toBe(2 * 2 * 5);
  expect(model.parameters[0]).toMatchObject({ name: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight', shape: [3, 32], decay: true });
  const plain = (await base.forward(batch)).logprobs;
  expect((await model.forward(batch)).logprobs).toEqual(plain);
  stir(model);
  expect((await model.forward(batch)).logprobs).not.toEqual(plain);
  expect((await model.forward(batch, { adapter: false })).logprobs).toEqual(plain);
  const dropped = async (seed: number) => (await backward(model, batch, seed)).forward.logprobs;
  const first = await dropped(7);
  expect(model.dropoutSeed).toBe(8);
  expect(await dropped(8)).not.toEqual(first);
  expect(await dropped(7)).toEqual(first);
});

test('a merged adapter, one put on at load and one folded in give the same log-probs', async () => {
  const device = createReferenceDevice();
  const model = await tinyModel(device, { trainable: 'lora', lora });
  stir(model);
  const want = (await model.forward(batch)).logprobs;

  const values = new Map(await Promise.all(model.tensors({ merge: true }).map(async (t) => [t.name, await t.read()] as const)));
  const shapes = new Map(model.tensors({ merge: true }).map((t) => [t.name, { shape: t.shape, file: 'model.safetensors' }]));
  const folder = { folder: 'merged', config: tinyConfig, tensors: shapes, read: async (name: string) => values.get(name)! };
  const merged = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none' });
  expect(relativeError((await merged.forward(batch)).logprobs, want)).toBeLessThan(1e-5);

  const adapter: ReadAdapter = { ...lora, tensors: new Map(), saved: new Map(), score: null };
  for (const module of model.adapterModules()) adapter.tensors.set(module.name, { a: await module.a(), b: await module.b(), r: module.r, scale: module.scale, magnitude: null });
  const beside = await tinyModel(device, { trainable: 'none', adapter });
  expect((await beside.forward(batch)).logprobs).toEqual(want);
  expect(beside.parameters).toEqual([]);
  const folded = await tinyModel(device, { trainable: 'all', adapter });
  expect(relativeError((await folded.forward(batch)).logprobs, want)).toBeLessThan(1e-5);
  const stacked = await tinyModel(device, { trainable: 'lora', lora, mergeAdapter: adapter });
  expect(relativeError((await stacked.forward(batch)).logprobs, want)).toBeLessThan(1e-5);
  expect(model.tensors({ merge: false }).length).toBe(values.size);
});

test('entropy and the argmax agree with the logits', async () => {
  const model = await tinyModel(createReferenceDevice(), { trainable: 'none' });
  const { entropy, best, logprobs } = await model.forward(batch, { entropy: true, best: true });
  const logits = await model.logits(batch);
  for (let m = 0; m < batch.rows.length; m++) {
    const row = Array.from(logits.subarray(m * 50, (m + 1) * 50));
    const lse = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    expect(logprobs[m]).toBeCloseTo(row[batch.targets[m]!]! - lse, 4);
    expect(entropy![m]).toBeCloseTo(row.reduce((sum, x) => sum - Math.exp(x - lse) * (x - lse), 0), 4);
    expect(best![m]).toBe(row.indexOf(Math.max(...row)));
  }
});

test('after the second of the largest step nothing is allocated, and after free nothing is left', async () => {
  const reference = createReferenceDevice();
  let allocations = 0;
  const device: Device = { ...reference, alloc: (...args) => (allocations++, reference.alloc(...args)) };
  for (const options of [{}, { trainable: 'lora' as const, lora: { ...lora, loraDropout: 0.1 } }, { gradientCheckpointing: true }]) {
    const model = await tinyModel(device, options);
    const adamw = createAdamW(device, model.parameters, Optimizer.parse({}));
    const step = async (of: Batch) => {
      await model.forward(of, { entropy: true });
      const first = await model.forward(of, { gradient: true });
      model.backward(first, upstream(of.rows.length));
      adamw.step(0, await adamw.gradNorm());
      model.zeroGrad();
    };
    const largest = packed([draw(40), draw(20)]);
    for (const batch of [packed([draw(3)]), largest, largest]) await step(batch);
    allocations = 0;
    for (const lengths of [[9], [40, 20], [5, 5, 5], [1, 30]]) {
      await step(packed(lengths.map(draw)));
      expect(allocations).toBe(0);
    }
    adamw.free();
    model.free();
    expect(device.memory().bytes).toBe(0);
  }
});

test('bf16 storage rounds matrices only, and trains LoRA on top', async () => {
  const device = createReferenceDevice();
  const exact = await tinyModel(device, { trainable: 'none' });
  const model = await tinyModel(device, { trainable: 'lora', lora, storage: 'bf16' });
  const [a, b] = [(await exact.forward(batch)).logprobs, (await model.forward(batch)).logprobs];
  expect(relativeError(b, a)).toBeLessThan(0.02); // bf16 keeps 8 bits: 0.4 % a weight
  expect(b).not.toEqual(a);
  const { gradients: grads } = await backward(model, batch);
  expect([...grads].filter(([name]) => name.includes('lora_B')).every(([, grad]) => grad.some((x) => x !== 0))).toBe(true);
  await expect(tinyModel(device, { storage: 'bf16' })).rejects.toThrow(/bf16 is for frozen weights/);
});

test('misuse is named', async () => {
  const model = await tinyModel(createReferenceDevice());
  const forward = await model.forward(batch, { gradient: true });
  expect(() => model.backward(forward, new Float32Array(3))).toThrow(/3 gradients for 20 log-probabilities/);
  model.backward(forward, upstream(20));
  expect(() => model.backward(forward, upstream(20))).toThrow(/kept no tape/);
  await expect(model.forward(packed([[1, 50]]))).rejects.toThrow('forward: token 50 at place 1 is out of range, the vocabulary has 50; does the tokenizer belong to this model?');
  const withTargets = (...targetModules: string[]) => tinyModel(createReferenceDevice(), { trainable: 'lora', lora: { ...lora, targetModules } });
  await expect(withTargets('q_proj', 'lm_head')).rejects.toThrow(/lm_head cannot carry an adapter here/);
  await expect(withTargets('c_attn')).rejects.toThrow('lora.targetModules: no linear of the model is called c_attn; it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj (all-linear names them all)');
  const adapter = { ...lora, tensors: new Map([['model.layers.0.mlp.up_proj', { a: new Float32Array(3 * 32), b: new Float32Array(7), r: 3, scale: 2, magnitude: null }]]), saved: new Map(), score: null };
  await expect(tinyModel(createReferenceDevice(), { adapter })).rejects.toThrow(/up_proj has 96 and 7 values in lora_A and lora_B, expected 3·32 and 48·3/);
  await expect(loadLanguageModel(createReferenceDevice(), configFolder(), { storage: 'f32', trainable: 'none' })).rejects.toThrow(/tensors are missing: model.embed_tokens.weight, model.layers.0.input_layernorm.weight/);
});
