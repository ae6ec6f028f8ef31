/**
 * Every method on preferences, on the embedded model and data by the shipped recipes, a few steps each: held-out pairs are preferred more often
 * than after SFT, and the chosen answers have gained on the rejected ones. The README's numbers for the family come from here.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { EvaluateResult } from '../../src/shared/job-results.ts';
import { createWorkplace, ROOT, type Workplace } from '../attune.ts';

const STEPS = 40;
let place: Workplace;
let before: NonNullable<EvaluateResult['preferences']>;

const recipeOf = (name: string) => parse(readFileSync(join(ROOT, 'resources', 'recipes', `${name}.yaml`), 'utf8')) as Record<string, unknown>;

async function measure(model: string, reference: string[] = []): Promise<typeof before> {
  const validation = join(ROOT, 'resources', 'datasets', 'preferences.validation.jsonl');
  const run = await place.attune(['evaluate', model, ...reference, '--preferences', validation, '--max-length', '128', '--json']);
  expect(run.code, run.stderr).toBe(0);
  return (JSON.parse(run.stdout) as EvaluateResult).preferences!;
}

beforeAll(async () => {
  place = createWorkplace();
  const sft = recipeOf('sft');
  const file = place.write('sft.yaml', { ...sft, model: join(ROOT, sft.model as string), dataset: join(ROOT, sft.dataset as string), evalSamples: 0 });
  const run = await place.attune(['train', file]);
  expect(run.code, run.stderr).toBe(0);
  before = await measure('attune-sft');
}, 900_000);

afterAll(() => place.remove());

describe(`after ${STEPS} steps on the instruction model, held-out pairs`, () => {
  // ORPO's odds are of means per token, so sums of log-probs move less under it
  it.each([['dpo', 0.85], ['kto', 0.85], ['simpo', 0.8], ['cpo', 0.8], ['orpo', 0.55]])('are preferred more often: %s', async (name, gained) => {
    const { numTrainEpochs: _, ...recipe } = recipeOf(name);
    const file = place.write(`${name}.yaml`, { ...recipe, dataset: join(ROOT, recipe.dataset as string), maxSteps: STEPS, evalSamples: 0 });
    const run = await place.attune(['train', file]);
    expect(run.code, run.stderr).toBe(0);
    const after = await measure(recipe.name as string, ['--reference', 'attune-sft']);
    expect(after.accuracy).toBeGreaterThan(before.accuracy);
    expect(after.accuracy).toBeGreaterThanOrEqual(0.95);
    // against SFT itself: 0.5 by chance, and where training has yet to begin
    expect(after.rewardAccuracy).toBeGreaterThanOrEqual(gained);
    expect(after.margin).toBeGreaterThan(0);
  }, 600_000);
});
