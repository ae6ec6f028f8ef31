/**
 * Bit-exact runs, proven on the real engine process: killed with SIGKILL and resumed with another number of threads, a run ends with the same
 * sha256 as one never interrupted. Full weights, QLoRA, and a method of each kind; all of them, and many kills:
 * slow/resume.test.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEngineRuns, type EngineRuns, METHODS } from './resume.ts';

let runs: EngineRuns;
let start: string;
beforeAll(async () => {
  runs = createEngineRuns();
  await runs.drive('start', { method: 'pretrain', fromScratch: true, maxSteps: 10 }, runs.tiny);
  start = runs.newest('start');
});
afterAll(() => runs.remove());

describe('a run killed at a random instant and resumed', () => {
  it('ends bit-identical: full weights, three kills', async () => {
    await runs.expectSameAfterKills('pretrain', { method: 'pretrain', fromScratch: true, maxSteps: 40 }, runs.tiny, 3);
  });

  it.each(['qlora', 'dpo', 'reward', 'ppo'] as const)('ends bit-identical: %s', async (name) => {
    await runs.expectSameAfterKills(name, METHODS[name], start, 1);
  });
});

it('of what main never said it has, every checkpoint tells all: nothing is lost, however many it did not hear of', async () => {
  const overrides = { method: 'pretrain', fromScratch: true, maxSteps: 10 };
  await runs.drive('told', overrides, runs.tiny, { killAt: 5 });
  await runs.drive('told', overrides, runs.tiny);
  const { events } = JSON.parse(readFileSync(join(runs.newest('told'), 'told.json'), 'utf8')) as { events: { type: string; step: number }[] };
  expect(events.filter(({ type }) => type === 'metrics').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

describe('the same recipe and seed', () => {
  it('gives the same sha256 twice, and with 1 and 2 threads; another seed gives another', async () => {
    const overrides = { method: 'sft', maxSteps: 10 };
    const first = await runs.drive('sft-a', overrides, start);
    expect(await runs.drive('sft-b', overrides, start)).toBe(first);
    expect(await runs.drive('sft-1', overrides, start, { threads: 1 })).toBe(first);
    expect(await runs.drive('sft-seed', { ...overrides, seed: 4 }, start)).not.toBe(first);
  });
});
