/** Scores kept with rows: what a filter lets through, what a change of a row does to its score, and what is refused. The scorers are tiny models, trained here on what is told apart at once. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EditorRow, RowFilter } from '../../shared/api/datasets.ts';
import { Recipe } from '../../shared/recipe.ts';
import { openView, rowsOfView } from '../datasets/desk.ts';
import { editDataset, turnEdit } from '../datasets/editing.ts';
import { getDataset, importDataset } from '../datasets/index.ts';
import { getScoring } from '../db/row-scores.ts';
import { createTestPlace, type TestPlace } from '../runs/testing.ts';
import { scoreDataset } from './index.ts';

let place: TestPlace;
const word = (i: number): string => String.fromCharCode(97 + (i % 20)).repeat(3 + (i % 3));
const texts = Array.from({ length: 20 }, (_, i) => (i % 4 === 3 ? word(i).toUpperCase() : word(i)));

beforeAll(async () => {
  place = createTestPlace();
  const { library, runs } = place.workbench;
  const jsonl = (name: string, rows: object[]): string => {
    writeFileSync(join(place.folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
    return join(place.folder, name);
  };
  const labels = jsonl('labels.jsonl', Array.from({ length: 80 }, (_, i) => (i < 40 ? { text: word(i), label: 'small' } : { text: word(i).toUpperCase(), label: 'capital' })));
  await importDataset(library, { file: jsonl('texts.jsonl', [...texts, 'a'.repeat(400)].map((text) => ({ text }))), name: 'texts' });
  const common = { model: join(place.folder, 'tiny'), maxLength: 64, evalRatio: 0.1, optimizer: { learningRate: 5e-3 } };
  runs.start(Recipe.parse({ method: 'classify', name: 'cased', dataset: labels, numTrainEpochs: 4, ...common }));
  const last = runs.start(Recipe.parse({ method: 'reward', name: 'short', dataset: join(place.folder, 'pairs.jsonl'), numTrainEpochs: 2, ...common }));
  await runs.ended(last.id);
}, 60_000);
afterAll(() => place.remove());

const score = (more: object = {}) => scoreDataset(place.workbench.library, { model: 'cased', dataset: 'texts', label: 'small', maxLength: 64, ...more });
async function rowsOf(filter: RowFilter = {}): Promise<EditorRow[]> {
  const { view, count } = await openView(place.workbench, { dataset: 'texts', filter });
  return count === 0 ? [] : rowsOfView(place.workbench, { view, from: 0, count });
}
const shown = (rows: EditorRow[]) => rows.map(({ example }) => (example as { text: string }).text);

test('every row keeps how sure the classifier is of the label, one too long keeps none, and filters go by it', async () => {
  const scoring = await score();
  expect(scoring).toMatchObject({ model: 'cased', label: 'small', rows: 20, leftOut: 1, low: 0, high: 1 });
  expect(scoring.bins.reduce((a, b) => a + b)).toBe(20);
  const rows = await rowsOf();
  expect(rows.map((row) => row.score !== null && row.score > 0.5)).toEqual([...texts.map((text) => text === text.toLowerCase()), false]);
  expect(rows.at(-1)!.score).toBeNull();
  expect(shown(await rowsOf({ maxScore: 0.5 }))).toEqual(texts.filter((text) => text === text.toUpperCase()));
  expect(await rowsOf({ minScore: 0.5 })).toHaveLength(15);
  const turned = await score({ label: 'capital' });
  expect(turned.label).toBe('capital');
  expect(await rowsOf({ minScore: 0.5 })).toHaveLength(5);
  // of the scoring before nothing is left
  const { db } = place.workbench.library;
  expect(db.prepare('select count(*) from scorings').pluck().get()).toBe(1);
  expect(db.prepare('select count(*) from row_scores').pluck().get()).toBe(20);
}, 30_000);

test('a row that is changed has no score any more; what a filter found can be deleted and comes back with its scores', async () => {
  await score();
  const { workbench } = place;
  const [first] = await rowsOf({ maxScore: 0.5 });
  await editDataset(workbench, { dataset: 'texts', command: { type: 'update', id: first.id, example: { kind: 'text', text: 'other' } } });
  expect(shown(await rowsOf({ maxScore: 0.5 }))).not.toContain('other');
  expect((await rowsOf()).find(({ id }) => id === first.id)!.score).toBeNull();

  const { view } = await openView(workbench, { dataset: 'texts', filter: { maxScore: 0.5 } });
  await editDataset(workbench, { dataset: 'texts', command: { type: 'delete', rows: { view } } });
  expect(await rowsOf({ maxScore: 0.5 })).toEqual([]);
  expect(await rowsOf()).toHaveLength(17);
  await turnEdit(workbench, 'texts', 'undo');
  expect(await rowsOf({ maxScore: 0.5 })).toHaveLength(4);
}, 30_000);

test('a scoring that is cancelled leaves the one before', async () => {
  const before = await score();
  const controller = new AbortController();
  controller.abort();
  await expect(score({ signal: controller.signal })).rejects.toThrow();
  const { library } = place.workbench;
  expect(getScoring(library.db, getDataset(library, 'texts').id)!.scoring).toEqual(before);
}, 30_000);

test('a reward model scores rows too, on a scale of its own', async () => {
  const scoring = await score({ model: 'short', label: undefined });
  expect(scoring).toMatchObject({ label: null, rows: 20 });
  expect(scoring.high).toBeGreaterThan(scoring.low);
}, 30_000);

test('what cannot score, or a label it does not know, is refused in a sentence', async () => {
  await expect(score({ model: join(place.folder, 'tiny') })).rejects.toThrow(/this is a language model, which writes texts and scores none/);
  await expect(score({ label: undefined })).rejects.toThrow(/cased: name the label whose probability is to be the score: it has capital, small/);
  await expect(score({ label: 'loud' })).rejects.toThrow(/cased: it has no label "loud": it has capital, small/);
  await expect(score({ model: 'short' })).rejects.toThrow(/short: a reward model gives one score and has no labels/);
});
