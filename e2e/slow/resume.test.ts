/** Bit-exact runs, every method: killed two or three times and resumed, and with one thread and two. The quick half is ../resume.test.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCheckpoint } from '../../src/engine/checkpoint.ts';
import { createEngineRuns, type EngineRuns, METHODS } from '../resume.ts';

let runs: EngineRuns;
let start: string;
beforeAll(async () => {
  runs = createEngineRuns();
  await runs.drive('start', { method: 'pretrain', fromScratch: true, maxSteps: 40 }, runs.tiny);
  start = runs.newest('start');
});
afterAll(() => runs.remove());

describe('a run killed at random instants and resumed', () => {
  it('ends bit-identical: full weights, ten kills', async () => {
    await runs.expectSameAfterKills('pretrain', { method: 'pretrain', fromScratch: true, maxSteps: 40 }, runs.tiny, 10);
  });

  it.each(Object.entries(METHODS))('ends bit-identical: %s', async (name, overrides) => {
    await runs.expectSameAfterKills(name, overrides, start, 3);
  });
});

it('a run that gold ended stays ended, and says so', async () => {
  await runs.drive('ended', METHODS['ppo-lora'], start);
  const { state } = (await findCheckpoint(runs.folderOf('ended')))!;
  expect(state.ended).toContain('goldLimit (0.000001)');
  expect(state.step).toBeLessThan(24);
  expect(await runs.drive('ended', METHODS['ppo-lora'], start)).toMatch(/^[0-9a-f]{64}$/);
  expect((await findCheckpoint(runs.folderOf('ended')))!.state.step).toBe(state.step);
});

describe('with one thread and with two', () => {
  it.each(Object.entries(METHODS))('gives the same sha256: %s', async (name, overrides) => {
    const few = { ...overrides, maxSteps: 5 };
    expect(await runs.drive(`${name}-1`, few, start, { threads: 1 })).toBe(await runs.drive(`${name}-2`, few, start));
  });
});
