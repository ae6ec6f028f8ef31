/** A dataset judged by the tiny Llama of fixtures/, which knows nothing: what is written, what is kept of it, and what a cancelled judging leaves. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PreferenceExample } from '../../shared/dataset.ts';
import { exportDataset } from '../datasets/export.ts';
import { findDataset, getDataset, importDataset, readRows } from '../datasets/index.ts';
import { getJudging } from '../db/judgings.ts';
import { addModel } from '../models/index.ts';
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
