/** What would fit: the least change first, each way by the smallest step that is enough, and never a recipe that is none. Bytes by a rule of this test's own. */
import { expect, it } from 'vitest';
import { describeChange, mayHaveLackedMemory, memoryReached } from '../../shared/fitting.ts';
import { Recipe } from '../../shared/recipe.ts';
import { findFits } from './fitting.ts';

const recipe = (more: object = {}): Recipe => Recipe.parse({ method: 'sft', model: 'm', dataset: 'd', perDeviceTrainBatchSize: 12, gradientAccumulationSteps: 2, ...more });
/** Weights 100, as much again and more where all are trained, and 20 a row, a fifth of it with checkpointing. */
const memoryOf = ({ lora, gradientCheckpointing, perDeviceTrainBatchSize }: Recipe): Promise<number> =>
  Promise.resolve(100 + (lora ? 10 : 300) + (gradientCheckpointing ? 4 : 20) * perDeviceTrainBatchSize);
const fits = async (of: Recipe, available: number, reached: number | null = null): Promise<string[]> =>
  (await findFits(of, { total: await memoryOf(of), available, reached }, memoryOf)).map(({ changes, memory }) => `${changes.map(describeChange).join(', ')} ${memory}`);

it('keeps the rows of a step: the largest smaller batch that divides it, and other ways as they are', async () => {
  expect(await fits(recipe(), 600)).toEqual([
    'perDeviceTrainBatchSize: 6, gradientAccumulationSteps: 4 520',
    'gradientCheckpointing: true 448',
    'lora: {"r":16} 350',
  ]);
});

it('puts ways together where one is not enough, and says nothing where none is', async () => {
  expect(await fits(recipe(), 440)).toEqual(['gradientCheckpointing: true, perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 6 416', 'lora: {"r":16} 350']);
  expect(await fits(recipe(), 130)).toEqual(['lora: {"r":16}, gradientCheckpointing: true, perDeviceTrainBatchSize: 3, gradientAccumulationSteps: 8 122']);
  expect(await fits(recipe(), 100)).toEqual([]);
  expect(await fits(recipe({ lora: {}, gradientCheckpointing: true, perDeviceTrainBatchSize: 1 }), 50)).toEqual([]);
});

it('offers the frozen base in four bits last: beside smaller steps, and alone only where an adapter on the base as stored does not fit', async () => {
  const bytes = { stored: 100, f32: 200, bf16: 100, q8_0: 50, q4_0: 25, nf4: 25 };
  const memoryOf = ({ lora, gradientCheckpointing, perDeviceTrainBatchSize }: Recipe): Promise<number> =>
    Promise.resolve((lora ? bytes[lora.baseWeights] + 10 : 400) + (gradientCheckpointing ? 4 : 20) * perDeviceTrainBatchSize);
  const offered = async (of: Recipe, available: number) =>
    (await findFits(of, { total: await memoryOf(of), available, reached: null }, memoryOf)).map(({ changes, memory }) => `${changes.map(describeChange).join(', ')} ${memory}`);
  const one = { perDeviceTrainBatchSize: 1 };
  expect(await offered(recipe(one), 60)).toEqual(['lora: {"r":16,"baseWeights":"nf4"} 55']);
  expect(await offered(recipe(one), 140)).toEqual(['lora: {"r":16} 130']);
  expect(await offered(recipe({ ...one, lora: {} }), 120)).toEqual(['gradientCheckpointing: true 114', 'lora.baseWeights: nf4 55']);
  expect(await offered(recipe({ ...one, lora: { baseWeights: 'q4_0' } }), 40)).toEqual([]);
});

it('believes an end more than an estimate: below what was reached, or well below the estimate', async () => {
  expect((await fits(recipe(), 10_000, 460))[0]).toBe('perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 24 420');
  expect((await fits(recipe(), 10_000))[0]).toBe('perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 6 480'); // 0.8 of 640
});

it('knows an end for want of memory by what every device says of it', () => {
  const native = 'alloc: out of memory: asked for 66974720 bytes (63.9 MiB) while 138641120 bytes (132.2 MiB) are in use; use a smaller batch';
  expect([mayHaveLackedMemory(native), memoryReached(native)]).toEqual([true, 66974720 / 2 + 138641120]);
  const other = 'tfjs-cpu: out of memory, 4096 bytes asked for with 8192 of 9000 in use.';
  expect([mayHaveLackedMemory(other), memoryReached(other)]).toEqual([true, 8192 + 2048]);
  expect([mayHaveLackedMemory('the engine process was killed by SIGKILL'), memoryReached('the engine process was killed by SIGKILL')]).toEqual([true, null]);
  expect(mayHaveLackedMemory('the training split has no usable rows')).toBe(false);
});
