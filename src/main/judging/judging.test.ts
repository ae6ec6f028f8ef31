/** A dataset judged by the tiny Llama of fixtures/, which knows nothing: what is written, what is kept of it, and what a cancelled judging leaves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PreferenceExample } from '../../shared/dataset.ts';
import type { ScoreResult } from '../../shared/job-results.ts';
import { Recipe } from '../../shared/recipe.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { exportDataset } from '../datasets/export.ts';
import { findDataset, getDataset, importDataset, readRows } from '../datasets/index.ts';
import { getJudging } from '../db/judgings.ts';
import { askEngine } from '../engine.ts';
import { addModel, resolveModel } from '../models/index.ts';
import { createTestPlace, type TestPlace } from '../runs/testing.ts';
import { judgeDataset } from './index.ts';

let place: TestPlace;
beforeEach(async () => {
  place = createTestPlace();
  addModel(place.workbench.library, join(place.folder, 'tiny'), 'tiny');
  await importDataset(place.workbench.library, { file: join(place.folder, 'pairs.jsonl'), name: 'pairs' });
});
afterEach(() => place.remove());

const judge = (more: object = {}) => judgeDataset(place.workbench.library, { model: 'tiny', dataset: 'pairs', rubric: 'short', name: 'judged', ...more });
const rowsOf = (name: string): PreferenceExample[] =>
  getDataset(place.workbench.library, name).files.flatMap(({ id }) => [...readRows(place.workbench.library, id)].map(({ json }) => JSON.parse(json) as PreferenceExample));

test('every pair is labelled, names the judge as its source, and keeps it through a file', async () => {
  const { library } = place.workbench;
  const outcome = await judge();
  expect(outcome).toMatchObject({ judge: 'tiny', dataset: 'pairs', sampledFrom: null, pairs: 24, leftOut: 0 });
  const [before, after] = [rowsOf('pairs'), rowsOf('judged')];
  expect(after.map(({ source }) => source)).toEqual(Array(24).fill('tiny'));
  const kept = after.filter(({ chosen }, i) => chosen === before[i].chosen).length;
  expect(outcome.agreement!.accuracy.value).toBeCloseTo(kept / 24, 9);
  expect(getJudging(library.db, getDataset(library, 'judged').id)).toMatchObject({ rubric: 'short', pairs: 24 });

  const file = join(place.folder, 'judged.jsonl');
  await exportDataset(library, { dataset: getDataset(library, 'judged'), path: file });
  expect(readFileSync(file, 'utf8')).toContain('"source":"tiny"');
  await importDataset(library, { file, name: 'again' });
  expect(rowsOf('again')).toEqual(after);
});

test('two sampled answers to each prompt are judged; there are no people to agree with', async () => {
  const outcome = await judge({ model: 'attune-base', sampleFrom: 'attune-base', limit: 4 });
  expect(outcome).toMatchObject({ sampledFrom: 'attune-base', agreement: null });
  expect(outcome.pairs + outcome.leftOut).toBe(4);
  expect(rowsOf('judged').every(({ chosen, rejected }) => chosen !== rejected)).toBe(true);
});

test('a cancelled judging leaves nothing, and a name that is taken or an empty rubric is refused', async () => {
  const controller = new AbortController();
  await expect(judge({ signal: controller.signal, onCount: () => controller.abort() })).rejects.toThrow();
  expect(findDataset(place.workbench.library, 'judged')).toBeNull();
  await expect(judge({ name: 'pairs' })).rejects.toThrow(/pairs: the library has a dataset of that name already/);
  await expect(judge({ rubric: ' ' })).rejects.toThrow(/the rubric is empty/);
});

test('a reward model judges by its scores: both orders say the same, and its agreement is the share of pairs it scores rightly', async () => {
  const { library, runs } = place.workbench;
  const recipe = { method: 'reward', name: 'scorer', model: join(place.folder, 'tiny'), dataset: 'pairs', maxLength: 64, numTrainEpochs: 2, evalRatio: 0, optimizer: { learningRate: 5e-3 } };
  await runs.ended(runs.start(Recipe.parse(recipe)).id);
  const outcome = await judge({ model: 'scorer', rubric: '' });
  expect(outcome).toMatchObject({ judge: 'scorer', rubric: null, pairs: 24, leftOut: 0, firstPlace: 0.5, placeDecides: 0, warnings: [] });
  const { path, template } = resolveModel(library, 'scorer');
  const scored = await withExamplesFile(library, 'pairs', { splits: ['train'] }, (examples) =>
    askEngine<ScoreResult>({ type: 'score', device: 'native', threads: 0, model: path, template, examples, maxLength: 64 }));
  expect(outcome.agreement!.accuracy.value).toBeCloseTo(scored.accuracy!, 12);
  expect(outcome.agreement!.accuracy.value).toBeGreaterThan(0.9);
  expect(rowsOf('judged').map(({ source }) => source)).toEqual(Array(24).fill('scorer'));
  // RLAIF: two answers of a model, which of them is the better one by the reward model's word
  const sampled = await judge({ model: 'scorer', sampleFrom: 'attune-base', limit: 4, name: 'sampled' });
  expect(sampled).toMatchObject({ rubric: null, sampledFrom: 'attune-base', agreement: null });
}, 60_000);
