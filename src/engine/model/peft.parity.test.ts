/** Adapters as PEFT saved them (fixtures/peft): its logits with the adapter beside the weights and merged, its gradients, and what is written back. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { readAdapter, writeAdapter } from '../formats/peft.ts';
import { exportModel } from '../jobs/export.ts';
import { createAdamW } from '../optim/adamw.ts';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from './language-model.ts';
import { gradients, packed, relativeError } from './testing.ts';

const fixture = (path: string) => fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));
type Expected = { logits: number[]; loss: number; grads: Record<string, [squares: number, first: number[]]> };
const { inputIds, adapters } = JSON.parse(readFileSync(fixture('peft/expected.json'), 'utf8')) as { inputIds: number[]; adapters: Record<string, Expected> };
const batch = packed([inputIds]);
const everywhere = { ...batch, rows: Int32Array.from(inputIds, (_, i) => i) };
const devices: [string, () => Device][] = [['reference', createReferenceDevice], ['native', () => createNativeDevice(2)]];
const DORA = { r: 4, loraAlpha: 12, loraDropout: 0, targetModules: ['q_proj', 'up_proj'], useDora: true };

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-peft-'))));
afterAll(() => rm(root, { recursive: true }));

async function load(device: Device, options: Partial<LoadOptions>): Promise<LanguageModel> {
  const folder = await openModelFolder(fixture('models/llama'));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none', ...options });
  await folder.close();
  return model;
}

describe.each(devices)('on the %s device', (_, createDevice) => {
  test.each(['dora', 'patterns', 'rslora', 'start'])('%s folded into the weights answers as PEFT does', async (name) => {
    const model = await load(createDevice(), { mergeAdapter: await readAdapter(fixture(`peft/${name}`)) });
    expect(relativeError(await model.logits(everywhere), adapters[name]!.logits)).toBeLessThan(1e-5);
    model.free();
  });

  test.each(['dora', 'rslora', 'start'])('%s beside the weights gives the logits and the gradients of PEFT, checkpointed or not', async (name) => {
    const expected = adapters[name]!;
    for (const gradientCheckpointing of [false, true]) {
      const model = await load(createDevice(), { adapter: await readAdapter(fixture(`peft/${name}`)), trainable: 'lora', gradientCheckpointing });
      expect(relativeError(await model.logits(everywhere), expected.logits)).toBeLessThan(1e-5);
      const M = batch.rows.length;
      const forward = await model.forward(batch, { gradient: true });
      expect(-forward.logprobs.reduce((sum, x) => sum + x, 0) / M).toBeCloseTo(expected.loss, 5);
      model.backward(forward, new Float32Array(M).fill(-1 / M));
      const got = await gradients(model);
      expect([...got.keys()].sort()).toEqual(Object.keys(expected.grads).sort());
      for (const [parameter, [squares, first]] of Object.entries(expected.grads)) {
        const grad = got.get(parameter)!;
        const size = Math.sqrt(squares / grad.length);
        expect(Math.abs(grad.reduce((sum, x) => sum + x * x, 0) / (squares || 1) - (squares ? 1 : 0)), parameter).toBeLessThan(1e-4);
        first.forEach((x, i) => expect(Math.abs(grad[i]! - x), parameter).toBeLessThan(1e-4 * Math.max(size, Math.abs(x)) + 1e-9));
      }
      model.free();
    }
  });

  test('a new DoRA adapter changes nothing at first, then trains; merged it answers as beside the weights', async () => {
    const device = createDevice();
    const [plain, model] = [await load(device, {}), await load(device, { trainable: 'lora', lora: DORA, seed: 5 })];
    expect(relativeError(await model.logits(everywhere), await plain.logits(everywhere))).toBeLessThan(1e-6);
    const adamw = createAdamW(device, model.parameters, { learningRate: 0.02, adamBeta1: 0.9, adamBeta2: 0.999, adamEpsilon: 1e-8, weightDecay: 0.01, maxGradNorm: 1 } as never);
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      model.zeroGrad();
      const forward = await model.forward(batch, { gradient: true });
      losses.push(-forward.logprobs.reduce((sum, x) => sum + x, 0));
      model.backward(forward, new Float32Array(batch.rows.length).fill(-1));
      adamw.step(0.02, 1);
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);

    const beside = await model.logits(everywhere);
    const cache = model.createCache(inputIds.length);
    const sequence = cache.open(inputIds.length);
    const decoded = [...inputIds].map((id) => model.decode(cache, [{ sequence, tokens: [id] }]));
    expect(relativeError(await decoded.at(-1)!, beside.subarray(-128))).toBeLessThan(1e-4);
    cache.free();
    const out = join(root, `trained-${device.name}`);
    await writeAdapter(out, { lora: DORA, baseModel: fixture('models/llama'), modules: model.adapterModules(), score: null });
    const merged = await load(device, { mergeAdapter: await readAdapter(out) });
    expect(relativeError(await merged.logits(everywhere), beside)).toBeLessThan(1e-5);
    for (const each of [plain, model, merged]) each.free();
  });
});

test('leaves nothing behind on the device', async () => {
  const device = createNativeDevice(1);
  const left: number[] = [];
  for (let round = 0; round < 2; round++) {
    const model = await load(device, { trainable: 'lora', lora: DORA });
    const forward = await model.forward(batch, { gradient: true });
    model.backward(forward, new Float32Array(batch.rows.length).fill(1));
    model.zeroGrad();
    model.free();
    left.push(device.memory().bytes);
  }
  expect(left[1]).toBe(left[0]); // the device's own scratch
});

test.each(['dora', 'patterns', 'rslora'])('%s is exported as an adapter that means the same', async (name) => {
  const out = join(root, `out-${name}`);
  await exportModel({ type: 'export', model: { folder: fixture('models/llama'), adapter: fixture(`peft/${name}`) }, format: 'peft', dtype: 'f32', out, name, about: { baseName: name, base: '', method: null, datasets: [], stated: {}, given: {} } }, createReferenceDevice, () => {});
  const [before, after] = [await readAdapter(fixture(`peft/${name}`)), await readAdapter(out)];
  expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  for (const [module, update] of before.tensors) {
    const { scale, ...rest } = after.tensors.get(module)!;
    expect(scale).toBeCloseTo(update.scale, 12);
    expect({ ...rest, scale: update.scale }).toEqual(update);
  }
  expect(after.saved).toEqual(before.saved);
});

test('what cannot be trained or has no place is refused in a sentence', async () => {
  const device = createReferenceDevice();
  const patterns = await readAdapter(fixture('peft/patterns'));
  await expect(load(device, { adapter: patterns, trainable: 'lora' })).rejects.toThrow(/brings tensors of its own beside its updates \(lm_head.weight\).*export it merged/);
  await expect(load(device, { trainable: 'lora', lora: { ...DORA, loraDropout: 0.1 } })).rejects.toThrow(/loraDropout: with useDora there is no dropout/);
  const saved = (name: string, shape: number[]) => ({ ...patterns, saved: new Map([[name, { shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]]) });
  await expect(load(device, { mergeAdapter: saved('lm_head.weight', [130, 32]) })).rejects.toThrow(/lm_head.weight of shape \[130, 32\] where the model has \[128, 32\].*tokens added/);
  await expect(load(device, { mergeAdapter: saved('model.extra.weight', [2]) })).rejects.toThrow(/which is no tensor of this model/);
});
