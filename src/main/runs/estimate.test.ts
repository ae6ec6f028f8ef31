/** Estimates against what runs of the same recipes then do: steps, rows, tokens, memory; how quickly they come; and their warnings. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { getRun } from '../db/runs.ts';
import { createTestPlace, type TestPlace } from './testing.ts';

const DATASETS = fileURLToPath(new URL('../../../resources/datasets', import.meta.url));
let place: TestPlace;
beforeEach(() => {
  place = createTestPlace();
});
afterEach(() => place.remove());

const estimate = (recipe: Recipe) => place.workbench.estimator.estimate(recipe);
async function train(recipe: Recipe) {
  const { id } = place.workbench.runs.start(recipe);
  await place.workbench.runs.ended(id);
  return getRun(place.workbench.library.db, id)!;
}
/** The first 400 rows, so that a run is short. */
function firstRows(name: string): string {
  const path = join(place.folder, name);
  writeFileSync(path, readFileSync(join(DATASETS, name), 'utf8').split('\n').slice(0, 400).join('\n'));
  return path;
}
const embedded = ({ pairs = false, ...more }: { pairs?: boolean; [field: string]: unknown }) =>
  Recipe.parse({
    method: pairs ? 'dpo' : 'sft', model: 'attune-base', dataset: firstRows(`${pairs ? 'preferences' : 'instructions'}.train.jsonl`), maxLength: 128, perDeviceTrainBatchSize: 16, evalRatio: 0,
    evalSamples: 0, maxSteps: 4, ...more,
  });

test.each([
  ['rows in batches', {}],
  ['packed, over epochs and a half', { packing: true, numTrainEpochs: 2.5 }],
  ['accumulated', { gradientAccumulationSteps: 3 }],
  ['by steps', { maxSteps: 17 }],
  ['rows that are cut', { maxLength: 24, packing: true }],
])('steps, rows and tokens are those of the run: %s', async (_, more) => {
  const recipe = place.sft(more);
  const before = await estimate(recipe);
  const run = await train(recipe);
  expect(before.steps).toBe(run.totalSteps);
  expect(before.parameters).toBe(run.parameters);
  expect(before.trainableParameters).toBe(run.trainableParameters);
  expect(before.rows).toEqual({ train: 44, validation: 4 });
  expect(before.tokens / run.last.num_tokens!).toBeCloseTo(1, 1);
});

test.each([
  ['sft of every weight', {}],
  ['sft with gradient checkpointing', { gradientCheckpointing: true }],
  ['sft, accumulated', { gradientAccumulationSteps: 2 }],
  ['sft with LoRA', { lora: {} }],
  ['sft with LoRA and gradient checkpointing', { lora: {}, gradientCheckpointing: true }],
  ['dpo of every weight', { pairs: true }],
  ['dpo with LoRA', { pairs: true, lora: {} }],
])('memory is within 0.9 to 1.15 of what the run takes: %s', async (name, more) => {
  const recipe = embedded(more);
  const start = performance.now();
  const { memory, speedFrom } = await estimate(recipe);
  const milliseconds = performance.now() - start;
  const run = await train(recipe);
  const ratio = memory.total / run.peakMemoryBytes!;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
  console.log(`${name}: ${megabytes(memory.total)} MB estimated, ${megabytes(run.peakMemoryBytes!)} MB taken (${ratio.toFixed(2)}); in ${milliseconds.toFixed(0)} ms`);
  expect(ratio).toBeGreaterThan(0.9);
  expect(ratio).toBeLessThan(1.15);
  expect(memory.available).toBeGreaterThan(0);
  expect(speedFrom).toBe('kernels');
});

test.each([
  ['grpo', { numGenerations: 4, beta: 0.04, numIterations: 2 }],
  ['rloo', { numGenerations: 4 }],
  ['ppo', { numPpoEpochs: 2, numMiniBatches: 2 }],
  ['rejection', { numGenerations: 4, rounds: 2 }],
])('of %s: steps are those of the run, memory and tokens the most it can take', async (method, more) => {
  const recipe = embedded({ method, rewards: [{ type: 'length', max: 8 }], maxCompletionLength: 16, perDeviceTrainBatchSize: 8, ...more });
  const before = await estimate(recipe);
  const run = await train(recipe);
  expect(before.steps).toBe(run.totalSteps);
  expect(before.memory.total / run.peakMemoryBytes!).toBeGreaterThan(0.85);
  expect(before.memory.total / run.peakMemoryBytes!).toBeLessThan(1.6);
  expect(before.seconds).toBeGreaterThan(0);
});

test('the same question is answered at once, another batch size without reading the rows again; a finished run tells the speed', async () => {
  const first = await estimate(embedded({ maxSteps: 12 }));
  expect(first).toMatchObject({ sampledRows: expect.any(Number), speedFrom: 'kernels', warnings: [] });
  expect(first.seconds).toBeGreaterThan(0);
  const times = [];
  for (const learningRate of [1e-5, 2e-5, 3e-5, 4e-5, 6e-5]) {
    const start = performance.now();
    await estimate(embedded({ maxSteps: 12, optimizer: { learningRate } }));
    times.push(performance.now() - start);
  }
  expect(Math.min(...times)).toBeLessThan(50);
  const other = await estimate(embedded({ maxSteps: 12, perDeviceTrainBatchSize: 4 }));
  expect(other).toMatchObject({ sampledRows: first.sampledRows, longestRow: first.longestRow, tokensPerEpoch: first.tokensPerEpoch });
  await train(embedded({ maxSteps: 12 }));
  expect((await estimate(embedded({ maxSteps: 12 }))).speedFrom).toBe('runs');
});

test('warns of what is unusual, a sentence each', async () => {
  writeFileSync(join(place.folder, 'few.jsonl'), JSON.stringify({ instruction: 'Say it.', input: '', output: 'word '.repeat(200) }));
  const few = await estimate(embedded({ dataset: join(place.folder, 'few.jsonl'), optimizer: { learningRate: 0.1 } }));
  expect(few.warnings).toEqual([
    expect.stringMatching(/^1 of 1 rows are longer than maxLength \(128 tokens\) and are cut at the end; the longest has \d+\.$/),
    '1 row is very few: the model will learn them by heart rather than what they have in common.',
    'A learning rate of 1e-1 is high for sft of every weight of a model this size: up to 1e-3 is usual.',
  ]);
  const dpo = { pairs: true, optimizer: { learningRate: 2e-4 } };
  expect((await estimate(embedded(dpo))).warnings).toEqual(['A learning rate of 2e-4 is high for dpo of every weight of a model this size: up to 1e-4 is usual.']);
  await expect(estimate(embedded({ ...dpo, method: 'sft' }))).rejects.toThrow(/it has preference rows|preference pairs, which sft cannot train on/);
});
