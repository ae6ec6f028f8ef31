/**
 * QLoRA on real runs: SFT and DPO of the embedded model with LoRA, its frozen base as it is stored and in blocks. In eight bits a run takes nearly the same way; in four it
 * starts from what rounding costs and learns as much.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createWorkplace, ROOT, trainLosses, type Workplace } from '../attune.ts';

const STEPS = 60;
let place: Workplace;
beforeAll(() => void (place = createWorkplace()));
afterAll(() => place.remove());

const data = (name: string): string => join(ROOT, 'resources/datasets', name);
const common = { model: 'attune-base', maxLength: 128, maxSteps: STEPS, perDeviceTrainBatchSize: 16, loggingSteps: 1, evalRatio: 0, evalSamples: 0, optimizer: { learningRate: 1e-3 } };
const recipes = {
  sft: { ...common, method: 'sft', dataset: data('instructions.train.jsonl') },
  dpo: { ...common, method: 'dpo', dataset: data('preferences.train.jsonl') },
};
/** Of the mean loss of the last ten steps, relative to that of the base as stored. */
const CLOSE = { q8_0: 0.02, q4_0: 0.15, nf4: 0.15 };

test.each(['sft', 'dpo'] as const)('%s: the loss of a quantised base stays close to that of the base as it is stored', async (method) => {
  const last = async (baseWeights: string): Promise<number> => {
    const losses = await trainLosses(place, { ...recipes[method], lora: { r: 16, baseWeights } }, 'native');
    expect(losses).toHaveLength(STEPS);
    return losses.slice(-10).reduce((sum, loss) => sum + loss, 0) / 10;
  };
  const stored = await last('stored');
  for (const [baseWeights, close] of Object.entries(CLOSE)) {
    const loss = await last(baseWeights);
    console.log(`${method} ${baseWeights}: ${loss.toFixed(4)}, as stored ${stored.toFixed(4)} (${(100 * (loss / stored - 1)).toFixed(1)} %)`);
    expect(Math.abs(loss / stored - 1), baseWeights).toBeLessThan(close);
  }
}, 900_000);
