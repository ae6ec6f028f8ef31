/**
 * Every family against transformers: fixtures/families holds a tiny model of each with logits, log-probs, gradients and ten AdamW steps in
 * f64 (fixtures/README.md). Relative errors are of whole tensors: max |difference| / max |expected|. Llama, Qwen2 and Qwen3 are in parity.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Optimizer } from '../../shared/recipe.ts';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { openSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { createAdamW } from '../optim/adamw.ts';
import { clipScale } from '../optim/clip.ts';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from './language-model.ts';
import { isTransposed, transposed } from './parameters.ts';
import { packed, relativeError } from './testing.ts';

type Expected = { inputIds: number[][]; logprobs: number[][]; auxLoss?: number; adamw: { losses: number[]; gradNorms: number[] } & Record<string, unknown> };

const TOLERANCE = 1e-4; // f32 against f64 through a few layers; measured errors are about 1e-6
const root = fileURLToPath(new URL('../../../fixtures/families', import.meta.url));
const devices: [string, Device][] = [['reference', createReferenceDevice()], ['native', createNativeDevice(2)]];

async function load(device: Device, family: string, options: Partial<LoadOptions> = {}): Promise<LanguageModel> {
  const folder = await openModelFolder(join(root, family));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all', ...options });
  await folder.close();
  return model;
}

/** In Hugging Face's order of rows and columns. */
const asStored = (model: LanguageModel, name: string, shape: number[], values: Float32Array) =>
  isTransposed(model.config, name, shape) ? transposed(values, shape[0]!, shape[1]!) : values;

/** It carries no adapter. */
const isTheRouter = ({ config }: LanguageModel, name: string) => config.mixture !== null && name.endsWith(`.${config.names.mixture!.router}.weight`);

describe.each(readdirSync(root))('%s', (family) => {
  const expected = JSON.parse(readFileSync(join(root, family, 'expected.json'), 'utf8')) as Expected;
  const batch = packed(expected.inputIds);
  const M = batch.rows.length;

  test.each(devices)('gives the logits, log-probs and gradients of transformers on the %s device', async (_, device) => {
    const tensors = await openSafetensors(join(root, family, 'expected.safetensors'));
    const model = await load(device, family);
    const everyRow = { ...batch, rows: Int32Array.from(batch.tokens, (_id, i) => i) };
    const want: number[] = [];
    for (let i = 0; i < expected.inputIds.length; i++) want.push(...(await tensors.read(`logits.${i}`)));
    expect(relativeError(await model.logits(everyRow), want), 'logits').toBeLessThan(TOLERANCE);

    const forward = await model.forward(batch, { gradient: true, entropy: true, best: true });
    expect(relativeError(forward.logprobs, expected.logprobs.flat()), 'log-probs').toBeLessThan(TOLERANCE);
    expect(model.auxLoss() ?? undefined).toEqual(expected.auxLoss === undefined ? undefined : expect.closeTo(expected.auxLoss, 5));
    model.backward(forward, new Float32Array(M).fill(-1 / M));
    expect(model.parameters.map(({ name }) => `grad.${name}`).sort()).toEqual([...tensors.tensors.keys()].filter((name) => name.startsWith('grad.')).sort());
    for (const { name, shape, grad } of model.parameters) {
      const got = asStored(model, name, shape, (await device.read(grad!)) as Float32Array);
      expect(relativeError(got, await tensors.read(`grad.${name}`)), name).toBeLessThan(TOLERANCE);
    }
    await tensors.close();
    model.free();
  });

  test('takes ten AdamW steps as torch does, to the same bits with one thread and with checkpointing', async () => {
    const run = async (threads: number, gradientCheckpointing: boolean) => {
      const device = createNativeDevice(threads);
      const model = await load(device, family, { gradientCheckpointing });
      const { losses, gradNorms, ...settings } = expected.adamw;
      const optimizer = Optimizer.parse(Object.fromEntries(Object.entries(settings).filter(([key]) => key in Optimizer.shape)));
      const adamw = createAdamW(device, model.parameters, optimizer);
      const seen: number[] = [];
      for (let step = 0; step < 10; step++) {
        model.zeroGrad();
        const forward = await model.forward(batch, { gradient: true });
        const loss = -forward.logprobs.reduce((sum, x) => sum + x, 0) / M + (model.config.mixture?.routerAuxLossCoef ?? 0) * (model.auxLoss() ?? 0);
        model.backward(forward, new Float32Array(M).fill(-1 / M));
        const norm = await adamw.gradNorm();
        expect(Math.abs(loss / losses[step]! - 1), `loss of step ${step}`).toBeLessThan(TOLERANCE);
        expect(Math.abs(norm / gradNorms[step]! - 1), `gradient norm of step ${step}`).toBeLessThan(TOLERANCE);
        adamw.step(optimizer.learningRate, clipScale(norm, optimizer.maxGradNorm));
        seen.push(loss, norm);
      }
      adamw.free();
      model.free();
      return seen;
    };
    expect(await run(1, true)).toEqual(await run(2, false));
  });

  test('decodes with a cache, in pieces and from a shared prompt, to the logits of the whole', async () => {
    const model = await load(createNativeDevice(2), family, { trainable: 'none' });
    const [other, long, short] = [expected.inputIds[0]!, expected.inputIds[1]!, expected.inputIds[2]!];
    const lastRow = async (ids: number[]) => model.logits({ ...packed([ids]), rows: Int32Array.of(ids.length - 1) });
    const cache = model.createCache(80);
    const whole = cache.open(long.length);
    // longrope changes all angles at 16 tokens: from there on, pieces
    expect(relativeError(await model.decode(cache, [{ sequence: whole, tokens: long.slice(0, 17) }]), await lastRow(long.slice(0, 17)))).toBeLessThan(TOLERANCE);
    for (let i = 17; i < long.length; i++) {
      expect(relativeError(await model.decode(cache, [{ sequence: whole, tokens: [long[i]!] }]), await lastRow(long.slice(0, i + 1))), `token ${i}`).toBeLessThan(TOLERANCE);
    }
    const prefix = cache.open(other.length);
    await model.decode(cache, [{ sequence: prefix, tokens: other }]);
    const [left, right] = [cache.open(8, prefix), cache.open(8, prefix)];
    const both = await model.decode(cache, [{ sequence: left, tokens: short.slice(0, 4) }, { sequence: right, tokens: short.slice(2) }]);
    expect(relativeError(both, [...(await lastRow([...other, ...short.slice(0, 4)])), ...(await lastRow([...other, ...short.slice(2)]))])).toBeLessThan(TOLERANCE);
    model.free();
  });

  test('is saved under the names, in the shapes and with the bits it came in', async () => {
    const model = await load(createReferenceDevice(), family, { trainable: 'none' });
    const folder = await mkdtemp(join(tmpdir(), 'attune-family-'));
    try {
      const path = join(folder, 'model.safetensors');
      await writeSafetensors(path, model.tensors({ merge: true }).map((tensor) => ({ ...tensor, dtype: 'F32' })));
      const [saved, came] = [await openSafetensors(path), await openSafetensors(join(root, family, 'model.safetensors'))];
      expect([...saved.tensors.keys()].sort()).toEqual([...came.tensors.keys()].sort());
      for (const [name, { shape }] of came.tensors) {
        expect(saved.tensors.get(name)!.shape, name).toEqual(shape);
        expect(await saved.read(name), name).toEqual(await came.read(name));
      }
      await Promise.all([saved.close(), came.close()]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('carries LoRA on all of its linears, which starts as nothing and merges into what it adds', async () => {
    const device = createNativeDevice(2);
    const plain = await load(device, family, { trainable: 'none' });
    const model = await load(device, family, { trainable: 'lora', lora: { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['all-linear'] } });
    const linears = plain.tensors({ merge: false }).filter(({ name, shape }) => shape.length > 1 && name.startsWith(plain.config.names.layers) && !isTheRouter(plain, name));
    expect(model.adapterModules().map(({ name }) => `${name}.weight`)).toEqual(linears.map(({ name }) => name));
    const { logprobs } = await plain.forward(batch);
    expect((await model.forward(batch)).logprobs).toEqual(logprobs);
    for (const { name, tensor } of model.parameters) {
      if (name.includes('lora_B')) device.write(tensor, Float32Array.from({ length: tensor.length }, (_, i) => 0.05 * Math.sin(1 + i)));
    }
    const adapted = (await model.forward(batch)).logprobs;
    expect(relativeError(adapted, logprobs)).toBeGreaterThan(1e-3);
    const merged = new Map(model.tensors({ merge: true }).map((tensor) => [tensor.name, tensor]));
    const config = JSON.parse(readFileSync(join(root, family, 'config.json'), 'utf8')) as Record<string, unknown>;
    const folder = {
      folder: 'merged', config, read: (name: string) => merged.get(name)!.read(),
      tensors: new Map([...merged].map(([name, { shape }]) => [name, { shape, file: 'merged' }])),
    };
    const again = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none' });
    expect(relativeError((await again.forward(batch)).logprobs, adapted)).toBeLessThan(1e-5);
    for (const each of [plain, model, again]) each.free();
  });
});
