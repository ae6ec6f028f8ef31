/** `attune devices`, and a few steps of DPO on TensorFlow.js that go the way the native device goes (e2e/slow/devices.test.ts goes further, on more). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DeviceState, SelfTest } from '../src/shared/devices.ts';
import { createWorkplace, preferenceRows, tinyModel, trainLosses, type Workplace } from './attune.ts';

let place: Workplace;
beforeAll(() => {
  place = createWorkplace();
  tinyModel(place);
  place.write('pairs.jsonl', preferenceRows(24));
});
afterAll(() => place.remove());

const recipe = { method: 'dpo', model: 'tiny', template: 'chat', dataset: 'pairs.jsonl', maxLength: 64, maxSteps: 4, perDeviceTrainBatchSize: 2, loggingSteps: 1, evalRatio: 0, optimizer: { learningRate: 1e-3 } };

test('a run on TensorFlow.js goes the way of a native one', async () => {
  const [expected, got] = [await trainLosses(place, recipe, 'native'), await trainLosses(place, recipe, 'tfjs-cpu')];
  expect(got).toHaveLength(4);
  for (const [i, loss] of got.entries()) expect(loss, `step ${i + 1}`).toBeCloseTo(expected[i], 4);
});

test('devices are listed with what runs or what is missing; one that is not here trains nothing', async () => {
  const devices = JSON.parse((await place.attune(['devices', '--json'])).stdout) as DeviceState[];
  expect(devices.map(({ name }) => name)).toEqual(['native', 'webgpu', 'webgpu-f16', 'tfjs-cpu', 'tfjs-wasm', 'tfjs-node', 'tfjs-node-gpu', 'cuda', 'cuda-bf16', 'reference']);
  expect(devices.find(({ name }) => name === 'tfjs-wasm')).toMatchObject({ problem: null, description: 'tfjs-wasm, TensorFlow.js in WebAssembly' });
  const { problem } = devices.find(({ name }) => name === 'tfjs-node-gpu')!;
  expect(problem).toContain('tfjs-node-gpu');
  const { code, stderr } = await place.attune(['train', place.write('recipe.yaml', recipe), '--device', 'tfjs-node-gpu']);
  expect(code).toBe(1);
  expect(stderr).toContain(problem);
});

test('a self-test says how right and how fast a device is', async () => {
  const found = JSON.parse((await place.attune(['devices', '--test', 'native', '--json'])).stdout) as SelfTest;
  expect(found).toMatchObject({ agrees: true });
  expect(found.worst.error).toBeLessThan(1e-5);
  expect(Math.min(found.flopsPerSecond, found.bytesPerSecond)).toBeGreaterThan(1e8);
});
