/**
 * GRPO, RLOO and PPO on the embedded model by the shipped recipes, three seeds each: the reward rises within the KL budget, held-out answers score more
 * too, and so does gold: a reward model of the other half of the pairs, which nothing learns from. Rejection sampling raises its mean. Minutes.
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
  for (const name of ['sft', 'reward', 'gold']) await train(recipe(name));
}, 900_000);
afterAll(() => place.remove());

describe.each(['grpo', 'rloo', 'ppo'])('%s', (method) => {
  it.each([1, 2, 3])('raises the reward within the KL budget, seed %i', async (seed) => {
    const given = recipe(method);
    const steps = await train({ ...given, seed, name: `${method}-${seed}` });
    expect(steps).toHaveLength(given.maxSteps as number); // neither the budget nor gold has ended it
    expect(mean(steps.slice(-5), 'reward')).toBeGreaterThan(mean(steps.slice(0, 5), 'reward') + 0.1);
    expect(Math.max(...steps.map((values) => values['objective/kl']))).toBeLessThan(given.klBudget as number);
    expect(steps.at(-1)!.eval_reward).toBeGreaterThan(mean(steps.slice(0, 5), 'reward'));
    expect(mean(steps.slice(-5), 'gold')).toBeGreaterThan(mean(steps.slice(0, 5), 'gold') + 0.2);
  }, 900_000);
});

it('rejection sampling raises the mean gold score: the second round begins above the first, and held-out answers end higher still', async () => {
  const steps = await train(recipe('rejection'));
  const [first, second] = [steps[0], steps.at(-1)!];
  expect(second.reward).toBeGreaterThan(first.reward + 0.1);
  expect(second.gold).toBeGreaterThan(first.gold + 0.3);
  expect(second.eval_gold).toBeGreaterThan(first.gold + 0.3);
}, 900_000);
