/**
 * GRPO and PPO on the embedded model by the shipped recipes, three seeds each: the reward rises within the KL budget, held-out answers score more too, and
 * rejection sampling's second round begins above its first. Minutes: part of the slow proofs.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { listMetrics } from '../../src/main/db/metrics.ts';
import { getRunByName } from '../../src/main/db/runs.ts';
import { openLibrary } from '../../src/main/library.ts';
import { createWorkplace, ROOT, type Workplace } from '../attune.ts';

type Metrics = Record<string, number>;
let place: Workplace;
const recipe = (name: string) => parse(readFileSync(join(ROOT, 'resources', 'recipes', `${name}.yaml`), 'utf8')) as Record<string, unknown>;

/** By the recipe; the values of its steps. */
async function train(fields: Record<string, unknown>): Promise<Metrics[]> {
  const absolute = (path: unknown) => (String(path).startsWith('resources/') ? join(ROOT, String(path)) : path);
  const name = String(fields.name);
  const file = place.write(`${name}.yaml`, { ...fields, model: absolute(fields.model), dataset: absolute(fields.dataset) });
  const run = await place.attune(['train', file]);
  expect(run.code, run.stderr).toBe(0);
  const { db } = openLibrary(place.library);
  const steps = listMetrics(db, getRunByName(db, name)!.id).map(({ values }) => values);
  db.close();
  return steps;
}

const mean = (steps: Metrics[], name: string) => steps.reduce((sum, values) => sum + values[name], 0) / steps.length;

beforeAll(async () => {
  place = createWorkplace();
  await train(recipe('sft'));
}, 900_000);
afterAll(() => place.remove());

describe.each(['grpo', 'ppo'])('%s', (method) => {
  it.each([1, 2, 3])('raises the reward within the KL budget, seed %i', async (seed) => {
    const given = recipe(method);
    const steps = await train({ ...given, seed, name: `${method}-${seed}` });
    expect(steps).toHaveLength(given.maxSteps as number); // the budget did not end it
    expect(mean(steps.slice(-5), 'reward')).toBeGreaterThan(mean(steps.slice(0, 5), 'reward') + 0.1);
    expect(Math.max(...steps.map((values) => values['objective/kl']))).toBeLessThan(given.klBudget as number);
    expect(steps.at(-1)!.eval_reward).toBeGreaterThan(mean(steps.slice(0, 5), 'reward'));
  }, 900_000);
});

it('rejection sampling: the second round begins above the first', async () => {
  const steps = await train(recipe('rejection'));
  expect(steps.at(-1)!.reward).toBeGreaterThan(steps[0].reward + 0.1);
}, 900_000);
