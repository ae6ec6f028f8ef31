/**
 * The same runs on every device: SFT and DPO take the same way as on the native one for 50 steps. The tiny model on TensorFlow.js in JavaScript and
 * WebAssembly, on WebGPU (a graphics card, or software: scripts/software-vulkan.ts), and by the CUDA device's kernels on their emulated driver; the embedded
 * one on TensorFlow where its package is installed (found where Node finds packages, NODE_PATH too).
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DeviceState } from '../../src/shared/devices.ts';
import { buildEmulatedDriver } from '../../scripts/build-cuda.mjs';
import { alpacaRows, createWorkplace, preferenceRows, ROOT, tinyModel, trainLosses, type Workplace } from '../attune.ts';

/** f32 sums in another order, through 50 steps of AdamW: relative to the loss. */
const TOLERANCE = 1e-3;
/** Products of numbers rounded to bf16, likewise. */
const BF16_TOLERANCE = 0.1;
const STEPS = 50;
/** JavaScript needs a minute for what the native device does in one second. */
const PATIENCE = 900_000;

let place: Workplace;
let installed: DeviceState[];
beforeAll(async () => {
  place = createWorkplace();
  tinyModel(place);
  place.write('rows.jsonl', alpacaRows(48));
  place.write('pairs.jsonl', preferenceRows(24));
  process.env.ATTUNE_CUDA_DRIVER = (await buildEmulatedDriver()).path; // what is started here inherits it
  installed = JSON.parse((await place.attune(['devices', '--json'])).stdout) as DeviceState[];
});
afterAll(() => {
  delete process.env.ATTUNE_CUDA_DRIVER;
  place.remove();
});

const common = { maxLength: 64, maxSteps: STEPS, perDeviceTrainBatchSize: 4, loggingSteps: 1, saveSteps: STEPS, evalRatio: 0, optimizer: { learningRate: 1e-3 } };
const small = { ...common, model: 'tiny', template: 'chat' };
const tiny = {
  SFT: { ...small, method: 'sft', dataset: 'rows.jsonl' },
  DPO: { ...small, method: 'dpo', dataset: 'pairs.jsonl' },
};
const withLora = { ...tiny.SFT, lora: { r: 4 } };
const inBlocks = { ...tiny.SFT, lora: { r: 4, baseWeights: 'nf4' } };
const embedded = {
  SFT: { ...common, method: 'sft', model: 'attune-base', dataset: join(ROOT, 'resources/datasets/instructions.train.jsonl') },
  DPO: { ...common, method: 'dpo', model: 'attune-base', dataset: join(ROOT, 'resources/datasets/preferences.train.jsonl') },
};

async function expectSameWay(recipe: object, device: string, tolerance = TOLERANCE): Promise<void> {
  const [expected, got] = [await trainLosses(place, recipe, 'native'), await trainLosses(place, recipe, device)];
  expect(got).toHaveLength(STEPS);
  expect(expected[0] - expected.at(-1)!).toBeGreaterThan(0.02); // it learns something
  for (const [i, loss] of got.entries()) expect(Math.abs(loss - expected[i]) / expected[i], `step ${i + 1}: ${loss}, native ${expected[i]}`).toBeLessThan(tolerance);
}

describe.each(['tfjs-cpu', 'tfjs-wasm'])('%s', (device) => {
  test.each(Object.entries({ ...tiny, 'SFT with LoRA': withLora }))('%s takes the same way as on the native device', (_, recipe) => expectSameWay(recipe, device), PATIENCE);
});

// what is emulated takes half a minute for each: SFT, DPO, and what reads a base in blocks
describe('cuda', () => {
  test.each(Object.entries({ ...tiny, 'SFT on a base in nf4': inBlocks }))('%s takes the same way as on the native device', (_, recipe) => expectSameWay(recipe, 'cuda'), PATIENCE);
});

describe('webgpu', () => {
  test.for(Object.entries(tiny))('%s takes the same way as on the native device', { timeout: PATIENCE }, async ([, recipe], { skip }) => {
    const { problem } = installed.find(({ name }) => name === 'webgpu')!;
    if (problem) return skip(problem);
    await expectSameWay({ ...recipe, perDeviceTrainBatchSize: 1 }, 'webgpu'); // software takes a second a row
  });
});

describe('cuda-bf16', () => {
  test('SFT stays near the way of the native device', () => expectSameWay(tiny.SFT, 'cuda-bf16', BF16_TOLERANCE), PATIENCE);

  test('and by cuBLASLt, emulated', async () => {
    process.env.ATTUNE_CUBLASLT = process.env.ATTUNE_CUDA_DRIVER;
    try {
      await expectSameWay(tiny.SFT, 'cuda-bf16', BF16_TOLERANCE);
    } finally {
      delete process.env.ATTUNE_CUBLASLT;
    }
  }, PATIENCE);
});

describe('tfjs-node', () => {
  test.for(Object.entries(embedded))('%s of the embedded model takes the same way as on the native device', { timeout: PATIENCE }, async ([, recipe], { skip }) => {
    const { problem } = installed.find(({ name }) => name === 'tfjs-node')!;
    if (problem) return skip(problem);
    await expectSameWay(recipe, 'tfjs-node');
  });
});
