/**
 * What conformance.test.ts cannot see of the WebGPU device: that a step is few submissions and reads, takes no more memory than the one before, and that what
 * goes wrong on a graphics card ends in a sentence. Dawn's own objects are watched; skips where the machine has no graphics card, in software neither.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { type SftRecipe, Recipe } from '../../../shared/recipe.ts';
import { sft } from '../../algorithms/sft.ts';
import { openModelFolder } from '../../formats/model-folder.ts';
import { loadLanguageModel } from '../../model/language-model.ts';
import { createAdamW } from '../../optim/adamw.ts';
import { createWebgpuDevice } from './webgpu.ts';

/** The classes of Dawn's objects. */
const dawn = (await import('webgpu')).globals as {
  GPUDevice: { prototype: GPUDevice };
  GPUQueue: { prototype: GPUQueue };
  GPUBuffer: { prototype: GPUBuffer };
  GPUComputePassEncoder: { prototype: GPUComputePassEncoder };
};
const missing = await createWebgpuDevice().then(() => null, (error: Error) => error.message);
const onGpu = (name: string, body: () => Promise<void>): void => test(name, async ({ skip }) => (missing ? skip(missing) : body()));
afterEach(() => void vi.restoreAllMocks());

const STEPS = 5;

onGpu('a step is a few submissions and reads of scalars, and after the first ones makes no buffer and no pipeline', async () => {
  const made = vi.spyOn(dawn.GPUDevice.prototype, 'createBuffer');
  const compiled = vi.spyOn(dawn.GPUDevice.prototype, 'createComputePipeline');
  const submitted = vi.spyOn(dawn.GPUQueue.prototype, 'submit');
  const mapped = vi.spyOn(dawn.GPUBuffer.prototype, 'mapAsync');
  const called = vi.spyOn(dawn.GPUComputePassEncoder.prototype, 'dispatchWorkgroups');
  const device = await createWebgpuDevice();
  const folder = await openModelFolder(fileURLToPath(new URL('../../../../fixtures/models/llama', import.meta.url)));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'all' });
  await folder.close();
  const recipe = Recipe.parse({ method: 'sft', model: 'tiny', dataset: 'rows' }) as SftRecipe;
  const adamw = createAdamW(device, model.parameters, recipe.optimizer);
  const train = [{ tokens: Int32Array.of(1, 5, 9, 7), loss: Uint8Array.of(0, 0, 1, 1) }, { tokens: Int32Array.of(1, 3, 2), loss: Uint8Array.of(0, 1, 1) }];
  const steps = Array.from({ length: STEPS }, () => [Int32Array.of(0, 1)]);
  const state = { model, adamw, settings: recipe.optimizer, totalSteps: STEPS, startStep: 0, seed: 1 };
  const counts: { buffers: number; pipelines: number; submissions: number; reads: number; calls: number; bytes: number }[] = [];
  for await (const _ of sft(state, { train, steps, validation: [], evalSteps: 0, evalTokens: 0 })) {
    counts.push({
      buffers: made.mock.calls.length, pipelines: compiled.mock.calls.length, submissions: submitted.mock.calls.length, reads: mapped.mock.calls.length,
      calls: called.mock.calls.length, bytes: device.memory().bytes,
    });
  }
  const [before, after] = counts.slice(-2);
  expect([after.buffers, after.pipelines, after.bytes]).toEqual([before.buffers, before.pipelines, before.bytes]);
  expect(after.submissions - before.submissions).toBeLessThan((after.calls - before.calls) / 10);
  expect(after.reads - before.reads).toBeLessThanOrEqual(4);
});

onGpu('a lost graphics card ends what runs on it with a sentence', async () => {
  const made = vi.spyOn(dawn.GPUDevice.prototype, 'createBuffer');
  const device = await createWebgpuDevice();
  const x = device.alloc(64);
  const gpu = made.mock.contexts[0] as GPUDevice;
  gpu.destroy();
  await gpu.lost;
  await expect(device.read(x)).rejects.toThrow(/^webgpu: the graphics card was lost \(.*\); a run goes on from its last checkpoint$/);
  expect(() => device.fill(x, 1, 64)).toThrow(/lost/);
});

onGpu('memory that runs out on the graphics card is told by the next read, with what was asked for', async () => {
  const device = await createWebgpuDevice();
  const full = vi.spyOn(dawn.GPUDevice.prototype, 'popErrorScope').mockResolvedValueOnce({ message: 'no memory' } as GPUOutOfMemoryError);
  const x = device.alloc(1000);
  expect(full).toHaveBeenCalledOnce();
  await expect(device.read(x)).rejects.toThrow(/^webgpu: out of memory, 4000 bytes asked for with 0 in use; a smaller batch/);
});
