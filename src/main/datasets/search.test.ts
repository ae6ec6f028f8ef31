import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { turnEdit } from './editing.ts';
import { importDataset } from './index.ts';
import { edit, importRows, instruction, openTestLibrary, rowsOf, type TestLibrary, textsOf } from './testing.ts';

let library: TestLibrary;
beforeEach(() => {
  library = openTestLibrary();
});
afterEach(() => library.close());

async function importTexts(texts: string[]): Promise<void> {
  const file = join(library.folder, 'texts.jsonl');
  writeFileSync(file, texts.map((text) => JSON.stringify({ instruction: text, output: 'ok' })).join('\n'));
  await importDataset(library.workbench.library, { file, name: 'rows' });
}
const search = (text: string) => textsOf(library, { text });

test('every word must begin some word of the row, whatever its case and accents, in the order of rows', async () => {
  await importTexts(['The quick brown fox', 'A quick café', 'Brownian motion, quickly', 'nothing']);
  expect(await search('quick')).toEqual(['The quick brown fox', 'A quick café', 'Brownian motion, quickly']);
  expect(await search('BROWN quick')).toEqual(['The quick brown fox', 'Brownian motion, quickly']);
  expect(await search('cafe')).toEqual(['A quick café']);
  expect(await search('fox café')).toEqual([]);
  expect(await search('ok')).toHaveLength(4); // answers are searched too
  expect(await search('  ')).toHaveLength(4);
});

test('Korean words with particles are found by their stems, composed or not', async () => {
  await importTexts(['학교에서 공부를 합니다', '학교가 멀다', '학생은 집에 있다'.normalize('NFD'), 'school']);
  expect(await search('학교')).toHaveLength(2);
  expect(await search('학교 공부')).toEqual(['학교에서 공부를 합니다']);
  expect(await search('학생')).toHaveLength(1);
  expect(await search('학생'.normalize('NFD'))).toHaveLength(1);
  expect(await search('공')).toEqual(['학교에서 공부를 합니다']);
});

test('any text is a query', async () => {
  await importTexts(['a "quoted" AND plain', "don't stop", 'नमस्ते दुनिया', 'NEAR the end']);
  expect(await search('"quoted')).toHaveLength(1);
  expect(await search('AND')).toHaveLength(1);
  expect(await search("don't")).toEqual(["don't stop"]);
  expect(await search('नमस्ते')).toHaveLength(1);
  expect(await search('NEAR(the end)')).toHaveLength(1);
  const hostile = ['*', '"', "'", '""', 'NOT', 'OR AND', 'text:', 'a* OR b', '^a', '{a b}:c', '-a', '(', '\0', 'a\0b', '\ud800', '😀', '; drop table examples', 'x'.repeat(50_000), 'w '.repeat(10_000)];
  for (const text of hostile) expect(Array.isArray(await search(text)), text.slice(0, 20)).toBe(true);
  expect(await rowsOf(library)).toHaveLength(4);
});

test('finds rows as they are now: changed, inserted, undone, deleted, imported later', async () => {
  await importRows(library, 20);
  expect(await search('row')).toHaveLength(20);
  const [first, second] = await rowsOf(library);
  await edit(library, { type: 'update', id: first.id, example: instruction('zebra') });
  await edit(library, { type: 'insert', after: second.id, split: 'train', example: instruction('zebra too') });
  expect(await search('zebra')).toEqual(['zebra', 'zebra too']);
  expect(await search('row')).toHaveLength(19);
  await edit(library, { type: 'delete', rows: { ids: [first.id] } });
  expect(await search('zebra')).toEqual(['zebra too']);
  for (let i = 0; i < 3; i++) await turnEdit(library.workbench, 'rows', 'undo');
  expect(await search('zebra')).toEqual([]);
  expect(await search('row')).toHaveLength(20);
  await importRows(library, 5, { split: 'validation', word: 'zebra' });
  expect(await search('zebra')).toHaveLength(5);
  expect(await textsOf(library, { text: 'zebra', split: 'train' })).toEqual([]);
  await library.reopen();
  expect(await search('zebra 3')).toEqual(['zebra 3']);
});

test('an index that was damaged or deleted is built again', async () => {
  await importRows(library, 10);
  expect(await search('row 7')).toEqual(['row 7']);
  const { folder } = library.workbench.library;
  await library.workbench.close();
  const [name] = readdirSync(join(folder, 'search'));
  writeFileSync(join(folder, 'search', name), 'this was an index once, and now it is plain text of some length '.repeat(100));
  await library.reopen();
  expect(await search('row 7')).toEqual(['row 7']);
});

test('goes with tags, splits and edits: all that is given must hold', async () => {
  await importRows(library, 30);
  const rows = await rowsOf(library);
  await edit(library, { type: 'tag', rows: { ids: rows.slice(0, 12).map(({ id }) => id) }, tag: 'seen', on: true });
  await edit(library, { type: 'split', rows: { ids: rows.slice(10).map(({ id }) => id) }, split: 'test' });
  await edit(library, { type: 'update', id: rows[11].id, example: instruction('row eleven') });
  expect(await textsOf(library, { tag: 'seen', split: 'test' })).toEqual(['row 10', 'row eleven']);
  expect(await textsOf(library, { tag: 'seen', split: 'test', edited: false })).toEqual(['row 10']);
  expect(await textsOf(library, { tag: 'seen', text: 'ele', edited: true })).toEqual(['row eleven']);
  expect(await textsOf(library, { tag: 'unheard of' })).toEqual([]);
});

test('the first search of many rows is a task that tells how far it is, and goes on where it was cancelled', async () => {
  await importRows(library, 30_000);
  const { tasks } = library.workbench;
  const searching = search('row');
  const outcome = expect(searching).rejects.toThrow(/cancelled/);
  while (!tasks.list().some(({ kind, done }) => kind === 'index' && done > 0)) await new Promise((resolve) => setTimeout(resolve, 5));
  const [task] = tasks.list();
  expect(task).toMatchObject({ kind: 'index', subject: 'rows', unit: 'rows', total: 30_000, state: 'running' });
  tasks.cancel(task.id);
  await outcome;
  const [all, again] = await Promise.all([search('row'), search('row 29999')]);
  expect(all).toHaveLength(30_000);
  expect(again).toEqual(['row 29999']);
  const [, second, ...more] = tasks.list();
  expect(second).toMatchObject({ state: 'done' });
  expect(second.total).toBeLessThan(30_000);
  expect(more).toEqual([]);
});
