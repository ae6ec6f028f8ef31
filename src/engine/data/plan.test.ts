/** The plan of a run: every row once an epoch, the same plan for the same seed, budgets kept. */
import { describe, expect, it } from 'vitest';
import { microBatches, planSteps } from './plan.ts';

const settings = { seed: 1, numTrainEpochs: 1, maxSteps: 0, gradientAccumulationSteps: 2, perDeviceTrainBatchSize: 3, maxTokens: null };
const lengths = Array.from({ length: 20 }, (_, i) => 1 + (i % 5));

describe('planSteps', () => {
  it('visits every row once an epoch, in another order each epoch', () => {
    const steps = planSteps(lengths, { ...settings, numTrainEpochs: 2 });
    // 20 rows in batches of 3 → 7 batches, 2 a step → 4 steps an epoch
    expect(steps).toHaveLength(8);
    const epochs = [steps.slice(0, 4), steps.slice(4)].map((epoch) => epoch.flat().flatMap((batch) => [...batch]));
    for (const order of epochs) expect([...order].sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('is a function of the seed', () => {
    expect(planSteps(lengths, settings)).toEqual(planSteps(lengths, settings));
    expect(planSteps(lengths, settings)).not.toEqual(planSteps(lengths, { ...settings, seed: 2 }));
  });

  it('goes round until maxSteps, whatever the epochs say', () => {
    expect(planSteps(lengths, { ...settings, maxSteps: 11 })).toHaveLength(11);
  });

  it('rounds a part of an epoch up to whole steps', () => {
    expect(planSteps(lengths, { ...settings, numTrainEpochs: 0.3 })).toHaveLength(2); // 0.3 × 4 = 1.2
  });

  it('refuses an empty split', () => {
    expect(() => planSteps([], settings)).toThrow(/no usable rows/);
  });
});

describe('microBatches', () => {
  it('keeps to the token budget, and gives a row beyond it a batch of its own', () => {
    const order = Int32Array.of(0, 1, 2, 3);
    const batches = microBatches(order, [4, 5, 20, 1], { perDeviceTrainBatchSize: 1, maxTokens: 10 });
    expect(batches.map((batch) => [...batch])).toEqual([[0, 1], [2], [3]]);
  });
});
