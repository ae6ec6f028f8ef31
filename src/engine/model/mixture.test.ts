/**
 * What only mixtures of experts have to show, on the models of fixtures/families; that they are transformers' is families.parity.test.ts.
 * LoRA on experts is held against the gradients of the whole weights: for W + s·B·A, dB = s · dW · Aᵀ and dA = s · Bᵀ · dW.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { type ModelFolder, openModelFolder } from '../formats/model-folder.ts';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from './language-model.ts';
import type { TensorFolder } from './parameters.ts';
import { gradients, packed, relativeError } from './testing.ts';

const root = fileURLToPath(new URL('../../../fixtures/families', import.meta.url));
const MIXTURES = ['mixtral', 'qwen2-moe', 'qwen3-moe'];

async function load(device: Device, family: string, options: Partial<LoadOptions> = {}): Promise<LanguageModel> {
  const folder = await openModelFolder(join(root, family));
  try {
    return await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none', ...options });
  } finally {
    await folder.close();
  }
}

/** The folder as transformers 5 holds it in memory. */
function fusedFolder(folder: ModelFolder, { config }: LanguageModel): TensorFolder {
  const { numExperts: E, layers } = config.mixture!;
  const { gate, up, down, experts, router } = config.names.mixture!;
  const tensors = new Map([...folder.tensors].filter(([name]) => !name.includes('.experts.')).map(([name, { shape }]) => [name, { shape, file: 'fused' }]));
  const made = new Map<string, string[]>();
  for (const at of layers.flatMap((routed, index) => (routed ? [`model.layers.${index}`] : []))) {
    const all = (...parts: string[]) => Array.from({ length: E }, (_, e) => parts.map((part) => `${at}.${experts}.${e}.${part}.weight`)).flat();
    for (const [name, pieces] of [['gate_up_proj', all(gate, up)], ['down_proj', all(down)]] as const) {
      const [rows, columns] = folder.tensors.get(pieces[0]!)!.shape as [number, number];
      tensors.set(`${at}.mlp.experts.${name}`, { shape: [E, (rows * pieces.length) / E, columns], file: 'fused' });
      made.set(`${at}.mlp.experts.${name}`, pieces);
    }
    const { shape } = tensors.get(`${at}.${router}.weight`)!;
    tensors.delete(`${at}.${router}.weight`);
    tensors.set(`${at}.mlp.gate.weight`, { shape, file: 'fused' });
    made.set(`${at}.mlp.gate.weight`, [`${at}.${router}.weight`]);
  }
  return {
    folder: 'fused', config: folder.config, tensors,
    async read(name) {
      const values: number[] = [];
      for (const piece of made.get(name) ?? [name]) values.push(...(await folder.read(piece)));
      return Float32Array.from(values);
    },
  };
}

describe.each(MIXTURES)('%s', (family) => {
  const { inputIds } = JSON.parse(readFileSync(join(root, family, 'expected.json'), 'utf8')) as { inputIds: number[][] };
  const batch = packed(inputIds);
  const dlogprobs = Float32Array.from(batch.rows, (_, m) => Math.sin(1 + m));

  test('opens with its experts fused, and says which of the fused tensors is missing', async () => {
    const folder = await openModelFolder(join(root, family));
    const model = await load(createNativeDevice(1), family);
    const fused = fusedFolder(folder, model);
    const again = await loadLanguageModel(createNativeDevice(1), fused, { storage: 'f32', trainable: 'none' });
    expect((await again.forward(batch)).logprobs).toEqual((await model.forward(batch)).logprobs);
    const last = [...fused.tensors.keys()].filter((name) => name.endsWith('experts.down_proj')).at(-1)!;
    fused.tensors.delete(last);
    await expect(loadLanguageModel(createNativeDevice(1), fused, { storage: 'f32', trainable: 'none' })).rejects.toThrow(`tensor ${last} is missing`);
    await folder.close();
    for (const each of [model, again]) each.free();
  });

  test('trains LoRA on experts by the gradients of their whole weights, the router loss among them', async () => {
    const device = createReferenceDevice();
    const lora = await load(device, family, { trainable: 'lora', lora: { r: 2, loraAlpha: 3, loraDropout: 0, targetModules: ['all-linear'] } });
    for (const { name, tensor } of lora.parameters) {
      if (name.includes('lora_B')) device.write(tensor, Float32Array.from({ length: tensor.length }, (_, i) => 0.05 * Math.sin(1 + i)));
    }
    const merged = new Map(lora.tensors({ merge: true }).map((tensor) => [tensor.name, tensor]));
    const config = JSON.parse(readFileSync(join(root, family, 'config.json'), 'utf8')) as Record<string, unknown>;
    const folder = { folder: 'merged', config, read: (name: string) => merged.get(name)!.read(), tensors: new Map([...merged].map(([name, { shape }]) => [name, { shape, file: 'merged' }])) };
    const whole = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
    for (const model of [lora, whole]) model.backward(await model.forward(batch, { gradient: true }), dlogprobs);
    expect(lora.auxLoss()).toBeCloseTo(whole.auxLoss()!, 5);
    const [low, full] = [await gradients(lora), await gradients(whole)];
    for (const { name, a, b, inFeatures: I, outFeatures: O } of lora.adapterModules()) {
      const [A, B, dW] = [await a(), await b(), full.get(`${name}.weight`)!];
      const dA = Array.from({ length: 2 * I }, (_, i) => sum(O, (o) => 1.5 * B[o * 2 + Math.floor(i / I)]! * dW[o * I + (i % I)]!));
      const dB = Array.from({ length: O * 2 }, (_, i) => sum(I, (c) => 1.5 * dW[Math.floor(i / 2) * I + c]! * A[(i % 2) * I + c]!));
      expect(relativeError(low.get(`base_model.model.${name}.lora_A.weight`)!, dA), `${name} A`).toBeLessThan(1e-4);
      expect(relativeError(low.get(`base_model.model.${name}.lora_B.weight`)!, dB), `${name} B`).toBeLessThan(1e-4);
    }
    for (const each of [lora, whole]) each.free();
  });

  test('has the same gradients to the bit with one thread and two, made again layer by layer or kept, with dropout in its adapters', async () => {
    const run = async (threads: number, gradientCheckpointing: boolean) => {
      const lora = { r: 2, loraAlpha: 3, loraDropout: 0.3, targetModules: ['all-linear'] };
      const model = await load(createNativeDevice(threads), family, { trainable: 'lora', lora, gradientCheckpointing, seed: 5 });
      for (const { name, tensor } of model.parameters) if (name.includes('lora_B')) model.device.write(tensor, new Float32Array(tensor.length).fill(0.1));
      model.backward(await model.forward(batch, { gradient: true }), dlogprobs);
      const all = await gradients(model);
      const aux = model.auxLoss();
      model.free();
      return { all, aux };
    };
    expect(await run(1, true)).toEqual(await run(2, false));
  });

  test('gives a text the same bits whatever is decoded beside it', async () => {
    const model = await load(createNativeDevice(2), family);
    const cache = model.createCache(200);
    const decoded = async (texts: number[][]) => {
      const inputs = texts.map((tokens) => ({ sequence: cache.open(tokens.length + 1), tokens }));
      for (const { sequence, tokens } of inputs) await model.decode(cache, [{ sequence, tokens }]);
      const logits = await model.decode(cache, inputs.map(({ sequence }) => ({ sequence, tokens: [7] })));
      for (const { sequence } of inputs) cache.close(sequence);
      return logits.slice(0, model.config.vocabSize);
    };
    expect(await decoded(inputIds)).toEqual(await decoded([inputIds[0]!]));
    cache.free();
    model.free();
  });

  test('weighs its router loss by the part of the step a micro-batch holds', async () => {
    const model = await load(createReferenceDevice(), family, { trainable: 'all' });
    const zeros = new Float32Array(batch.rows.length);
    const run = async (...shares: number[]) => {
      model.zeroGrad();
      for (const share of shares) {
        model.microBatchShare = share;
        model.backward(await model.forward(batch, { gradient: true }), zeros);
      }
      return { aux: model.auxLoss()!, all: await gradients(model) };
    };
    const [whole, parts] = [await run(1), await run(0.25, 0.75)];
    expect(parts.aux).toBeCloseTo(whole.aux, 6);
    for (const [name, gradient] of whole.all) expect(relativeError(parts.all.get(name)!, gradient), name).toBeLessThan(1e-4);
    const routers = [...whole.all].filter(([name]) => name.endsWith(`${model.config.names.mixture!.router}.weight`));
    for (const [name, gradient] of routers) expect(gradient.some((x) => Math.abs(x) > 1e-4), name).toBe(true);
    model.free();
  });
});

test('DoRA on experts, and adapters of other ranks beside each other, are refused by name', async () => {
  const lora = { r: 2, loraAlpha: 4, loraDropout: 0, useDora: true };
  const device = createReferenceDevice();
  await expect(load(device, 'mixtral', { trainable: 'lora', lora: { ...lora, targetModules: ['w1'] } })).rejects.toThrow(
    'lora.useDora: model.layers.0.block_sparse_moe.experts.0.w1 is an expert\'s, and experts carry no DoRA here',
  );
  (await load(device, 'mixtral', { trainable: 'lora', lora: { ...lora, targetModules: ['q_proj'] } })).free();
  const update = (r: number) => ({ a: new Float32Array(r * 24), b: new Float32Array(20 * r), r, scale: 1, magnitude: null });
  const tensors = new Map([1, 2].map((r) => [`model.layers.0.block_sparse_moe.experts.${r}.w1`, update(r)]));
  const adapter = { r: 2, loraAlpha: 2, loraDropout: 0, targetModules: ['w1'], tensors, saved: new Map(), score: null };
  await expect(load(device, 'mixtral', { adapter })).rejects.toThrow('the experts around model.layers.0.block_sparse_moe.experts.0.w1 have ranks 1 and 2');
  (await load(device, 'mixtral', { mergeAdapter: adapter })).free();
});

function sum(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += term(i);
  return total;
}
