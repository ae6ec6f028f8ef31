/** Answers that training sampled, read as the window asks for them: files of the engine's own store, by step, order and page. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRolloutStore, type RolloutNotes, type RolloutStore } from '../../engine/rollouts/store.ts';
import type { SampledPage } from '../../shared/api/runs.ts';
import { insertRun } from '../db/runs.ts';
import { OWNER } from '../process-identity.ts';
import { getRunById } from './index.ts';
import { listSampledSteps, readSampledAnswers } from './sampled-answers.ts';
import { createTestPlace, type TestPlace } from './testing.ts';

let place: TestPlace;
let id: number;
let store: RolloutStore;
beforeAll(() => {
  place = createTestPlace();
  const { library } = place.workbench;
  id = insertRun(library.db, { name: 'online', method: 'grpo', recipe: place.sft(), model: { folder: '/m' }, parentCheckpointId: null, seed: 1, owner: OWNER });
  store = createRolloutStore(getRunById(library, id).folder, (row) => `Frage ${row}: größer?`);
});
afterAll(() => place.remove());

/** `count` answers to each of `rows`, scored as `score` says. */
function write(step: number, rows: number[], count: number, score: (group: number, sample: number) => number, notes?: RolloutNotes): Promise<void> {
  const all = rows.flatMap((row, group) => Array.from({ length: count }, (_, sample) => ({ row, sample, score: score(group, sample) })));
  const scores = Float64Array.from(all, ({ score }) => score);
  const experience = {
    rollouts: all.map(({ row, sample }) => ({ row, sample, ids: new Int32Array(sample + 2), text: `é ${row}.${sample}`, finished: sample !== 1 })),
    scores, rewards: { right: scores, 'short\n': scores.map((score) => -score) }, gold: null, oldLogprobs: null, refLogprobs: null,
  };
  return store.write(step, experience, notes);
}
const read = (step: number, more: object = {}): Promise<SampledPage> => readSampledAnswers(place.workbench.library, { id, step, order: 'sampled', offset: 0, count: 200, ...more });
const texts = ({ groups }: SampledPage): string[][] => groups.map(({ answers }) => answers.map(({ completion }) => completion));

test('no step before the first, then every step whose file is whole, in order', async () => {
  expect(await listSampledSteps(place.workbench.library, id)).toEqual([]);
  for (const step of [11, 0, 2]) await write(step, [1], 2, () => 0);
  writeFileSync(join(getRunById(place.workbench.library, id).folder, 'rollouts', 'step-000009.jsonl.writing'), '{');
  expect(await listSampledSteps(place.workbench.library, id)).toEqual([1, 3, 12]);
});

test('answers come with their prompt and all that is known of them, also which were kept', async () => {
  await write(3, [4, 7], 2, (group, sample) => group + sample / 2, { kept: [1, 3], advantages: [[1], [2], [-0.5], [0.5, 1.5]] });
  const page = await read(4);
  expect(page).toMatchObject({ prompts: 2, answers: 4 });
  expect(page.groups[1]).toEqual({
    row: 7, prompt: 'Frage 7: größer?', answers: [
      { sample: 0, completion: 'é 7.0', finished: true, score: 1, rewards: { right: 1, 'short\n': -1 }, gold: undefined, kept: false, advantage: -0.5, tokens: 2 },
      { sample: 1, completion: 'é 7.1', finished: false, score: 1.5, rewards: { right: 1.5, 'short\n': -1.5 }, gold: undefined, kept: true, advantage: 1, tokens: 3 },
    ],
  });
});

test('by score: prompts by their mean, and in a prompt its answers; a prompt that comes twice is two', async () => {
  await write(4, [5, 6, 6], 2, (group, sample) => [[1, 2], [9, 0], [3, 4]][group][sample]);
  expect(texts(await read(5))).toEqual([['é 5.0', 'é 5.1'], ['é 6.0', 'é 6.1'], ['é 6.0', 'é 6.1']]);
  const best = await read(5, { order: 'best' });
  expect(best.groups.map(({ answers }) => answers.map(({ score }) => score))).toEqual([[9, 0], [4, 3], [2, 1]]);
  expect((await read(5, { order: 'worst' })).groups.map(({ answers }) => answers.map(({ score }) => score))).toEqual([[1, 2], [3, 4], [0, 9]]);
});

test('a page of many: the lines asked for, whatever the order; the second page of 100,000 answers comes at once', async () => {
  await write(5, Array.from({ length: 12_500 }, (_, row) => row), 8, (group, sample) => (group * 7919) % 12_500 + sample / 10);
  const first = await read(6, { count: 48 });
  expect(first).toMatchObject({ prompts: 12_500, answers: 100_000 });
  const times = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    expect(texts(await read(6, { offset: 99_992, count: 48 }))).toEqual([Array.from({ length: 8 }, (_, sample) => `é 12499.${sample}`)]);
    times.push(performance.now() - start);
  }
  expect(Math.min(...times)).toBeLessThan(500);
  expect((await read(6, { order: 'best', count: 1 })).groups[0].answers[0].score).toBeCloseTo(12_499.7);
  expect((await read(6, { offset: 100_000 })).groups).toEqual([]);
});

test('a step that is gone or is no such file is told in a sentence', async () => {
  await expect(read(77)).rejects.toThrow(/step 77: its answers are gone from the run's folder \(.*step-000077\.jsonl\)/);
  const folder = join(getRunById(place.workbench.library, id).folder, 'rollouts');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'step-000078.jsonl'), '{"row":1}\n');
  await expect(read(78)).rejects.toThrow(/step-000078\.jsonl, line 1: it is not an answer/);
});
