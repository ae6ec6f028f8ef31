import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Example } from '../../shared/dataset.ts';
import {
  createEmpty, exportAsTask, importAsTask, listProblemsPage, locate, openView, remove, rename, render, rowsOfView, summarizeDatasets,
} from './desk.ts';
import { importDataset } from './index.ts';
import { edit, importRows, instruction, openTestLibrary, rowsOf, type TestLibrary, textsOf, viewOf } from './testing.ts';

let library: TestLibrary;
beforeEach(() => {
  library = openTestLibrary();
});
afterEach(() => library.close());

const names = () => summarizeDatasets(library.workbench).map(({ name }) => name);
const countAll = () => library.workbench.library.db.prepare('select count(*) from examples').pluck().get();
async function ended(taskId: number) {
  for (;;) {
    const task = library.workbench.tasks.list().find(({ id }) => id === taskId)!;
    if (task.state !== 'running') return task;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('an import is a task: rows told as they come, problems kept and paged', async () => {
  const file = join(library.folder, 'rows.jsonl');
  const lines = Array.from({ length: 3000 }, (_, i) => (i % 10 === 3 ? '{"instruction": "no output"}' : JSON.stringify(instruction(`row ${i}`))));
  writeFileSync(file, lines.join('\n'));
  const task = await ended(importAsTask(library.workbench, { path: file, name: 'rows', split: 'train', format: 'alpaca' }).taskId);
  expect(task).toMatchObject({ kind: 'import', state: 'done', result: '2,700 rows, 300 left out', done: 2700 });
  expect(Math.abs(task.total! - 2700)).toBeLessThan(300);
  expect(summarizeDatasets(library.workbench)).toMatchObject([{ name: 'rows', kind: 'examples', rows: 2700, skipped: 300, edited: false, files: [{ split: 'train', format: 'alpaca' }] }]);
  const { problems, total } = listProblemsPage(library.workbench, { dataset: 'rows', from: 100, count: 2 });
  expect(total).toBe(300);
  expect(problems).toMatchObject([{ line: 1004, split: 'train', severity: 'skipped', reason: 'output is missing' }, { line: 1014 }]);
});

test('a cancelled import leaves nothing behind', async () => {
  const file = join(library.folder, 'rows.jsonl');
  writeFileSync(file, `${JSON.stringify(instruction('row'))}\n`.repeat(60_000));
  const { taskId } = importAsTask(library.workbench, { path: file, name: 'rows', split: 'train' });
  while (library.workbench.tasks.list()[0].done < 5000) await new Promise((resolve) => setTimeout(resolve, 2));
  library.workbench.tasks.cancel(taskId);
  expect(await ended(taskId)).toMatchObject({ state: 'cancelled', error: null });
  expect(names()).toEqual([]);
  expect(countAll()).toBe(0);
});

test('columns go where the mapping says', async () => {
  const file = join(library.folder, 'odd.jsonl');
  writeFileSync(file, '{"question": "2+2?", "reply": "4", "output": "noise"}\n');
  const mapping = { instruction: 'question', output: 'reply' };
  await importDataset(library.workbench.library, { file, name: 'odd', mapping });
  expect((await rowsOf(library, {}, 'odd'))[0].example).toEqual({ kind: 'instruction', instruction: '2+2?', input: '', output: '4' });
});

test('a view pages through its rows, and finds one', async () => {
  await importRows(library, 100_000);
  const { view, count, total } = await openView(library.workbench, { dataset: 'rows', filter: {} });
  expect({ count, total }).toEqual({ count: 100_000, total: 100_000 });
  const page = rowsOfView(library.workbench, { view, from: 70_000, count: 500 });
  expect(page.map(({ line }) => line)).toEqual(Array.from({ length: 500 }, (_, i) => 70_001 + i));
  expect(rowsOfView(library.workbench, { view, from: 99_990, count: 500 })).toHaveLength(10);
  expect(locate(library.workbench, { view, id: page[7].id })).toBe(70_007);
  const few = await openView(library.workbench, { dataset: 'rows', filter: { text: '70007' } });
  expect(few).toMatchObject({ count: 1, total: 100_000 });
  expect(locate(library.workbench, { view: few.view, id: page[8].id })).toBeNull();
  await edit(library, { type: 'delete', rows: { ids: [page[0].id] } });
  expect(rowsOfView(library.workbench, { view, from: 70_000, count: 2 })).toEqual([page[1]]);
  library.workbench.datasets.closeView(view);
  expect(() => rowsOfView(library.workbench, { view, from: 0, count: 1 })).toThrow('this view of the rows was closed: open it again');
});

test('an export is the rows as they are now, whole or not at all, and can be imported again', async () => {
  await importRows(library, 1000);
  const [first, second] = await rowsOf(library);
  await edit(library, { type: 'split', rows: { ids: [first.id] }, split: 'test' });
  await edit(library, { type: 'update', id: second.id, example: instruction('edited') });
  const path = join(library.folder, 'out', 'all.jsonl');
  const task = await ended(exportAsTask(library.workbench, { dataset: 'rows', path }).taskId);
  expect(task).toMatchObject({ kind: 'export-dataset', state: 'done', result: `1,000 rows in ${path}` });
  expect(readdirSync(join(library.folder, 'out'))).toEqual(['all.jsonl']);
  const lines = readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Example);
  expect(lines[0]).toEqual(instruction('edited'));
  expect(lines.at(-1)).toEqual(instruction('row 0'));
  await importDataset(library.workbench.library, { file: path, name: 'again' });
  expect(await textsOf(library, {}, 'again')).toEqual(await textsOf(library));
  const none = await ended(exportAsTask(library.workbench, { dataset: 'rows', split: 'validation', path }).taskId);
  expect(none).toMatchObject({ state: 'failed', error: expect.stringMatching(/no row to export/) });
});

test('a dataset is made empty, filled, renamed and removed with all it had', async () => {
  createEmpty(library.workbench, { name: 'mine', kind: 'instruction' });
  expect(summarizeDatasets(library.workbench)).toMatchObject([{ name: 'mine', kind: 'examples', rows: 0, edited: true, files: [{ format: 'alpaca', rows: 0 }] }]);
  expect(() => createEmpty(library.workbench, { name: 'mine', kind: 'text' })).toThrow(/a dataset of that name already/);
  await edit(library, { type: 'insert', after: null, split: 'train', example: instruction('one') }, 'mine');
  await edit(library, { type: 'tag', rows: { view: await viewOf(library, { text: 'one' }, 'mine') }, tag: 't', on: true }, 'mine');
  rename(library.workbench, { dataset: 'mine', name: 'ours' });
  expect(await textsOf(library, { tag: 't' }, 'ours')).toEqual(['one']);
  await importRows(library, 10_000);
  expect(() => rename(library.workbench, { dataset: 'ours', name: 'rows' })).toThrow(/already/);
  await remove(library.workbench, { dataset: 'ours' });
  await remove(library.workbench, { dataset: 'rows' });
  expect(names()).toEqual([]);
  await importRows(library, 3, { word: 'new' }); // the name is free at once
  await library.reopen();
  expect(countAll()).toBe(3);
  expect(await textsOf(library, { text: 'new' })).toHaveLength(3);
  expect(readdirSync(join(library.workbench.library.folder, 'search')).filter((name) => name.endsWith('.db'))).toHaveLength(1);
});

test('what was made empty takes a file; a split that has rows does not', async () => {
  createEmpty(library.workbench, { name: 'rows', kind: 'instruction' });
  await importRows(library, 2);
  await expect(importRows(library, 2)).rejects.toThrow(/has a train split already, 2 rows of/);
  await edit(library, { type: 'insert', after: null, split: 'test', example: instruction('by hand') });
  await expect(importRows(library, 2, { split: 'test' })).rejects.toThrow(/has a test split already, 1 rows made in the editor/);
});

const base = join(import.meta.dirname, '../../../resources/models/attune-base');

test.skipIf(!existsSync(base))('a row is rendered as the trainer sees it, by an engine that stays', async () => {
  const settings = { model: 'attune-base', template: 'chat' as const, maxLength: 256, completionOnlyLoss: true };
  const example = instruction('hello');
  const [shown] = await render(library.workbench, { ...settings, example });
  const loss = shown.pieces.filter((piece) => piece.loss).map(({ text }) => text).join('');
  expect(loss).toMatch(/^\s*answer to hello/);
  const pair = await render(library.workbench, { ...settings, example: { kind: 'preference', prompt: '뷁은 무엇인가', chosen: '글자 🙂', rejected: '몰라' } });
  const times = [];
  for (let i = 0; i < 3; i++) {
    const began = performance.now();
    await render(library.workbench, { ...settings, example });
    times.push(performance.now() - began);
  }
  expect(Math.min(...times)).toBeLessThan(500); // a start takes about twice that; the engine at hand takes milliseconds
  // characters cut over several tokens stay whole, and the texts join to what was rendered
  expect(pair.map(({ pieces }) => pieces.map(({ text }) => text).join(''))).toEqual([expect.stringMatching(/뷁은 무엇인가.*글자 🙂/s), expect.stringMatching(/뷁은 무엇인가.*몰라/s)]);
  // what cannot be rendered is told in a sentence, and the engine stays
  const missing = render(library.workbench, { ...settings, model: 'nobody', example });
  await expect(missing).rejects.toThrow(/nobody: no model of that name/);
  expect(await render(library.workbench, { ...settings, example })).toEqual([shown]);
});
