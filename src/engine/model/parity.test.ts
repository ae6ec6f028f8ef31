/**
 * The model against PyTorch: fixtures/models holds a tiny model of each family with transformers' logits, log-probs, gradients and ten
 * AdamW steps, computed in f64 (fixtures/README.md). Relative errors are of whole tensors: max |difference| / max |expected|.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Optimizer } from '../../shared/recipe.ts';
import type { Batch } from '../data/batch.ts';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { openSafetensors, type Safetensors } from '../formats/safetensors.ts';
import { createAdamW } from '../optim/adamw.ts';
import { clipScale } from '../optim/clip.ts';
import { loadLanguageModel } from './language-model.ts';
import { readParameter } from './parameters.ts';
import { packed, relativeError } from './testing.ts';

type Expected = {
  inputIds: number[][];
  logprobs: number[][];
  loss: number;
  adamw: { losses: number[]; gradNorms: number[] } & Record<string, unknown>;
};

const TOLERANCE = 1e-4; // f32 against f64 through a few layers; measured errors are about 1e-6
const folderOf = (family: string) => fileURLToPath(new URL(`../../../fixtures/models/${family}`, import.meta.url));

const devices: [string, () => Device][] = [['reference', createReferenceDevice], ['native', () => createNativeDevice(2)]];

describe.each(devices)('on the %s device', (_, createDevice) => {
  describe.each(['llama', 'llama-tied', 'qwen2', 'qwen3'])('%s', (family) => {
    const expected = JSON.parse(readFileSync(`${folderOf(family)}/expected.json`, 'utf8')) as Expected;
    const device = createDevice();
    const batch: Batch = packed(expected.inputIds);
    let tensors: Safetensors;
    const load = async () => {
      const folder = await openModelFolder(folderOf(family));
      const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
      await folder.close();
      return model;
    };
    beforeAll(async () => void (tensors = await openSafetensors(`${folderOf(family)}/expected.safetensors`)));
    afterAll(() => tensors.close());

    test('gives the logits and log-probs of transformers', async () => {
      const model = await load();
      const everyRow = { ...batch, rows: Int32Array.from(batch.tokens, (_id, i) => i) };
      const logits = await model.logits(everyRow);
      const want: number[] = [];
      for (let i = 0; i < expected.inputIds.length; i++) want.push(...(await tensors.read(`logits.${i}`)));
      expect(relativeError(logits, want)).toBeLessThan(TOLERANCE);
      const { logprobs } = await model.forward(batch);
      expect(relativeError(logprobs, expected.logprobs.flat())).toBeLessThan(TOLERANCE);
      model.free();
    });

    test('gives every gradient of torch, by name', async () => {
      const model = await load();
      const forward = await model.forward(batch, { gradient: true });
      model.backward(forward, new Float32Array(batch.rows.length).fill(-1 / batch.rows.length));
      const names = [...tensors.tensors.keys()].filter((name) => name.startsWith('grad.'));
      expect(model.parameters.map((p) => `grad.${p.name}`).sort()).toEqual(names.sort());
      for (const { name, grad } of model.parameters) {
        const got = (await device.read(grad!)) as Float32Array;
        expect(relativeError(got, await tensors.read(`grad.${name}`)), name).toBeLessThan(TOLERANCE);
      }
      model.free();
    });

    test('takes ten AdamW steps as torch does, clipped', async () => {
      const model = await load();
      const { losses, gradNorms, ...settings } = expected.adamw;
      const optimizer = Optimizer.parse(Object.fromEntries(Object.entries(settings).filter(([key]) => key in Optimizer.shape)));
      const adamw = createAdamW(device, model.parameters, optimizer);
      for (let step = 0; step < 10; step++) {
        model.zeroGrad();
        const forward = await model.forward(batch, { gradient: true });
        const loss = -forward.logprobs.reduce((sum, x) => sum + x, 0) / batch.rows.length;
        model.backward(forward, new Float32Array(batch.rows.length).fill(-1 / batch.rows.length));
        const norm = await adamw.gradNorm();
        expect(Math.abs(loss / losses[step]! - 1), `loss of step ${step}`).toBeLessThan(TOLERANCE);
        expect(Math.abs(norm / gradNorms[step]! - 1), `gradient norm of step ${step}`).toBeLessThan(TOLERANCE);
        adamw.step(optimizer.learningRate, clipScale(norm, optimizer.maxGradNorm));
      }
      for (const parameter of model.parameters) {
        const got = await readParameter(device, parameter);
        expect(relativeError(got, await tensors.read(`after.${parameter.name}`)), parameter.name).toBeLessThan(TOLERANCE);
      }
      adamw.free();
      model.free();
    });
  });
});
