import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Example } from '../../shared/dataset.ts';
import { Recipe } from '../../shared/recipe.ts';
import { findRoom } from '../db/examples.ts';
import { writeSplit } from '../runs/split.ts';
import { createEmpty, summarizeDatasets, tags } from './desk.ts';
import { editDataset, turnEdit } from './editing.ts';
import { getDataset, importDataset } from './index.ts';
import { edit, importRows, instruction, openTestLibrary, rowsOf, type TestLibrary, textsOf, viewOf } from './testing.ts';

let library: TestLibrary;
beforeEach(() => {
  library = openTestLibrary();
});
afterEach(() => library.close());

const undo = (dataset = 'rows') => turnEdit(library.workbench, dataset, 'undo');
const redo = (dataset = 'rows') => turnEdit(library.workbench, dataset, 'redo');
const summary = (name = 'rows') => summarizeDatasets(library.workbench).find((dataset) => dataset.name === name)!;
const numbers = (texts: string[]) => texts.map((text) => Number(text.split(' ')[1]));

describe('one row', () => {
  test('changes, is marked, is as it was after undo, and changed again after redo, over reopened libraries', async () => {
    await importRows(library, 3);
    const [, second] = await rowsOf(library);
    expect(second).toMatchObject({ line: 2, edited: false, split: 'train' });
    const result = await edit(library, { type: 'update', id: second.id, example: instruction('changed') });
    expect(result).toEqual({ history: { undo: { type: 'update', rows: 1 }, redo: null }, ids: [second.id], reordered: false });
    expect(await textsOf(library, { edited: true })).toEqual(['changed']);
    expect(await textsOf(library, { edited: false })).toEqual(['row 0', 'row 2']);
    expect(summary().edited).toBe(true);
    await library.reopen();
    expect((await undo())!.history).toEqual({ undo: null, redo: { type: 'update', rows: 1 } });
    expect(await rowsOf(library)).toContainEqual(second);
    expect(summary().edited).toBe(false);
    await library.reopen();
    expect((await redo())!.history).toEqual({ undo: { type: 'update', rows: 1 }, redo: null });
    expect(await textsOf(library)).toEqual(['row 0', 'changed', 'row 2']);
    expect(await redo()).toBeNull();
  });

  test('left as it was is no edit, and an edit after an undo drops what could be redone', async () => {
    await importRows(library, 2);
    const [first] = await rowsOf(library);
    expect((await edit(library, { type: 'update', id: first.id, example: first.example })).history.undo).toBeNull();
    await edit(library, { type: 'update', id: first.id, example: instruction('a') });
    await undo();
    const { history } = await edit(library, { type: 'update', id: first.id, example: instruction('b') });
    expect(history).toEqual({ undo: { type: 'update', rows: 1 }, redo: null });
    await undo();
    expect(await textsOf(library)).toEqual(['row 0', 'row 1']);
  });

  test('being typed into is one edit however often it is saved, over reopened libraries, and none when it ends as it began', async () => {
    await importRows(library, 2);
    const [first, second] = await rowsOf(library);
    const type = (text: string, merge: boolean, { id } = first) => edit(library, { type: 'update', id, example: instruction(text), merge });
    await type('r', false);
    await type('re', true);
    await library.reopen();
    expect((await type('red', true)).history).toEqual({ undo: { type: 'update', rows: 1 }, redo: null });
    expect(await textsOf(library)).toEqual(['red', 'row 1']);
    await undo();
    expect(await rowsOf(library)).toContainEqual(first);
    // what can be redone is not typed over in silence
    expect((await type('blue', true)).history).toEqual({ undo: { type: 'update', rows: 1 }, redo: null });
    await type('blue too', true, second);
    expect((await undo())!.history).toEqual({ undo: { type: 'update', rows: 1 }, redo: { type: 'update', rows: 1 } });
    expect(await textsOf(library)).toEqual(['blue', 'row 1']);
    await undo();
    await type('x', false);
    expect((await type('row 0', true)).history).toEqual({ undo: null, redo: null });
    expect(await rowsOf(library)).toEqual([first, second]);
    expect(summary().edited).toBe(false);
  });

  test('is inserted after another or at the end, duplicated beside itself with its tags, and deleted', async () => {
    await importRows(library, 3);
    const [first, second] = await rowsOf(library);
    await edit(library, { type: 'tag', rows: { ids: [first.id] }, tag: 'good', on: true });
    await edit(library, { type: 'insert', after: first.id, split: 'train', example: instruction('new') });
    await edit(library, { type: 'insert', after: null, split: 'train', example: instruction('last') });
    const { ids, reordered } = await edit(library, { type: 'duplicate', rows: { ids: [first.id] } });
    expect(reordered).toBe(true);
    expect(await textsOf(library)).toEqual(['row 0', 'row 0', 'new', 'row 1', 'row 2', 'last']);
    const [, copy] = await rowsOf(library);
    expect(copy).toMatchObject({ id: ids[0], line: null, edited: true, tags: ['good'] });
    expect(tags(library.workbench, { dataset: 'rows' })).toEqual([{ tag: 'good', rows: 2 }]);
    await edit(library, { type: 'delete', rows: { ids: [second.id, first.id] } });
    expect(await textsOf(library)).toEqual(['row 0', 'new', 'row 2', 'last']);
    expect(tags(library.workbench, { dataset: 'rows' })).toEqual([{ tag: 'good', rows: 1 }]);
    expect(summary().rows).toBe(4);
    while (await undo());
    expect(await textsOf(library)).toEqual(['row 0', 'row 1', 'row 2']);
    while (await redo());
    expect(await textsOf(library)).toEqual(['row 0', 'new', 'row 2', 'last']);
    expect(summary()).toMatchObject({ rows: 4, splits: { train: 4, validation: 0, test: 0 } });
    await expect(edit(library, { type: 'delete', rows: { ids: [second.id] } })).rejects.toThrow(/these rows are gone/);
  });

  test('that was put into the same place a thousand times stands in the order it was put', async () => {
    await importRows(library, 3);
    const [first] = await rowsOf(library);
    const { db } = library.workbench.library;
    const { id: datasetId, files } = getDataset(library.workbench.library, 'rows');
    // half of them each after the one before, half each right after the first row: doubles between 1 and 2 run out after 52
    const room = findRoom(db, datasetId);
    const put = db.prepare(`insert into examples (file_id, position, kind, body) values (?, ?, 'instruction', ?) returning id`).pluck();
    let last = first.id;
    db.transaction(() => {
      for (let i = 0; i < 500; i++) last = put.get(files[0].id, room(last), JSON.stringify(instruction(`chain ${i}`))) as number;
      for (let i = 0; i < 500; i++) put.get(files[0].id, room(first.id), JSON.stringify(instruction(`pile ${i}`)));
    })();
    const texts = await textsOf(library);
    expect(texts.slice(0, 3)).toEqual(['row 0', 'pile 499', 'pile 498']);
    expect(numbers(texts.filter((text) => text.startsWith('pile')))).toEqual(Array.from({ length: 500 }, (_, i) => 499 - i));
    expect(numbers(texts.filter((text) => text.startsWith('chain')))).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(texts.slice(-2)).toEqual(['row 1', 'row 2']);
  });

  test('does not go where rows of the other kind are', async () => {
    createEmpty(library.workbench, { name: 'pairs', kind: 'preference' });
    await expect(edit(library, { type: 'insert', after: null, split: 'train', example: instruction('x') }, 'pairs')).rejects.toThrow(
      'pairs holds preference pairs: a row of kind instruction does not go there',
    );
    createEmpty(library.workbench, { name: 'talk', kind: 'conversation' });
    await edit(library, { type: 'insert', after: null, split: 'validation', example: instruction('x') }, 'talk');
    expect(summary('talk')).toMatchObject({ rows: 1, kind: 'examples', edited: true, splits: { train: 0, validation: 1, test: 0 } });
  });
});

describe('many rows', () => {
  test('of a view of 100,000 are tagged, split, deleted and duplicated, and all of it undone', async () => {
    await importRows(library, 100_000);
    const before = await textsOf(library);
    const view = await viewOf(library);
    expect((await edit(library, { type: 'tag', rows: { view }, tag: 'all', on: true })).history.undo).toEqual({ type: 'tag', rows: 100_000 });
    expect(tags(library.workbench, { dataset: 'rows' })).toEqual([{ tag: 'all', rows: 100_000 }]);
    await edit(library, { type: 'split-randomly', rows: { view }, validation: 0.1, test: 0.05, seed: 3 });
    expect(summary().splits).toEqual({ train: 85_000, validation: 10_000, test: 5_000 });
    await edit(library, { type: 'delete', rows: { view: await viewOf(library, { split: 'test' }) } });
    expect(summary()).toMatchObject({ rows: 95_000, splits: { train: 85_000, validation: 10_000, test: 0 } });
    expect(tags(library.workbench, { dataset: 'rows' })).toEqual([{ tag: 'all', rows: 95_000 }]);
    await edit(library, { type: 'duplicate', rows: { view: await viewOf(library, { split: 'validation' }) } });
    const validation = await textsOf(library, { split: 'validation' });
    expect(validation).toHaveLength(20_000);
    expect(validation.every((text, i) => i % 2 === 0 || text === validation[i - 1])).toBe(true);
    await library.reopen();
    while (await undo());
    expect(await textsOf(library)).toEqual(before);
    expect(summary()).toMatchObject({ rows: 100_000, edited: false, splits: { train: 100_000, validation: 0, test: 0 } });
    expect(tags(library.workbench, { dataset: 'rows' })).toEqual([]);
  });

  test('are split by chance in the same way for the same seed, and keep their order', async () => {
    await importRows(library, 1000);
    const draw = async (seed: number) => {
      await edit(library, { type: 'split-randomly', rows: { view: await viewOf(library) }, validation: 0.2, test: 0, seed });
      const drawn = await textsOf(library, { split: 'validation' });
      await undo();
      return drawn;
    };
    const drawn = await draw(7);
    expect(drawn).toHaveLength(200);
    expect(numbers(drawn)).toEqual(numbers(drawn).sort((a, b) => a - b));
    expect(await draw(7)).toEqual(drawn);
    expect(await draw(8)).not.toEqual(drawn);
    const view = await viewOf(library);
    await expect(edit(library, { type: 'split-randomly', rows: { view }, validation: 0.7, test: 0.7, seed: 1 })).rejects.toThrow(/more than all rows/);
  });

  test('that are pairs swap their answers, and to the same bytes again when undone', async () => {
    const pairs = [
      { kind: 'preference', prompt: 'q "1"\n\u2028', chosen: 'good', rejected: 'bad' },
      { kind: 'preference', prompt: [{ role: 'system', content: 's' }, { role: 'user', content: '한국어 / \u0001' }], chosen: 'a\\b', rejected: '\ud800' },
    ];
    const file = join(library.folder, 'pairs.jsonl');
    writeFileSync(file, pairs.map((pair) => JSON.stringify(pair)).join('\n'));
    await importDataset(library.workbench.library, { file, name: 'pairs' });
    const bodies = () => library.workbench.library.db.prepare('select body from examples order by position').pluck().all();
    const before = bodies();
    expect(summary('pairs').kind).toBe('preferences');
    await edit(library, { type: 'swap', rows: { view: await viewOf(library, {}, 'pairs') } }, 'pairs');
    expect((await rowsOf(library, {}, 'pairs')).map(({ example, edited }) => ({ ...example, edited }))).toEqual(
      pairs.map((pair) => ({ ...pair, chosen: pair.rejected, rejected: pair.chosen, edited: true })),
    );
    await undo('pairs');
    expect(bodies()).toEqual(before);
    await importRows(library, 1);
    await expect(edit(library, { type: 'swap', rows: { view: await viewOf(library) } })).rejects.toThrow(/neither a preference pair/);
  });

  test('that are labelled answers turn good into bad, and to the same bytes again when undone', async () => {
    const answers = [{ kind: 'unpaired', prompt: 'q', completion: 'good', label: true }, { kind: 'unpaired', prompt: 'q', completion: 'bad / 한', label: false }];
    const file = join(library.folder, 'answers.jsonl');
    writeFileSync(file, answers.map((answer) => JSON.stringify(answer)).join('\n'));
    await importDataset(library.workbench.library, { file, name: 'answers' });
    const bodies = () => library.workbench.library.db.prepare('select body from examples order by position').pluck().all();
    const before = bodies();
    expect(summary('answers').kind).toBe('unpaired');
    await edit(library, { type: 'swap', rows: { view: await viewOf(library, {}, 'answers') } }, 'answers');
    expect((await rowsOf(library, {}, 'answers')).map(({ example }) => example)).toEqual(answers.map((answer) => ({ ...answer, label: !answer.label })));
    await undo('answers');
    expect(bodies()).toEqual(before);
  });

  test('cannot be chosen by a view that was closed, or that is of another dataset', async () => {
    await importRows(library, 2);
    await importRows(library, 2, { name: 'others' });
    const view = await viewOf(library);
    await expect(edit(library, { type: 'delete', rows: { view } }, 'others')).rejects.toThrow(/another dataset/);
    for (let i = 0; i < 16; i++) await viewOf(library);
    await expect(edit(library, { type: 'delete', rows: { view } })).rejects.toThrow('this view of the rows was closed: open it again');
  });
});

test('five hundred edits can be undone; what no undo reaches is gone for good', async () => {
  await importRows(library, 502);
  const ids = (await rowsOf(library)).map(({ id }) => id);
  for (const id of ids.slice(0, 502)) await edit(library, { type: 'delete', rows: { ids: [id] } });
  await library.reopen(); // waits for what is cleared away
  expect(library.workbench.library.db.prepare('select count(*) from examples').pluck().get()).toBe(500);
  let undone = 0;
  while (await undo()) undone++;
  expect(undone).toBe(500);
  expect(numbers(await textsOf(library))).toEqual(Array.from({ length: 500 }, (_, i) => i + 2));
});

test('edits of one dataset that are asked for at once happen one after the other', async () => {
  await importRows(library, 5000);
  const view = await viewOf(library);
  const [{ id }] = await rowsOf(library);
  const asked = [
    edit(library, { type: 'split', rows: { view }, split: 'test' }),
    edit(library, { type: 'update', id, example: instruction('x') }),
    turnEdit(library.workbench, 'rows', 'undo'),
    edit(library, { type: 'tag', rows: { view }, tag: 't', on: true }),
  ];
  await Promise.all(asked);
  expect(summary().splits).toEqual({ train: 0, validation: 0, test: 5000 });
  expect((await asked[3])!.history.undo).toEqual({ type: 'tag', rows: 5000 });
  expect((await textsOf(library))[0]).toBe('row 0');
});

test('a run freezes the rows as edited: SFT rows by split, DPO pairs swapped', async () => {
  await importRows(library, 4);
  const rows = await rowsOf(library);
  await edit(library, { type: 'update', id: rows[0].id, example: instruction('edited') });
  await edit(library, { type: 'delete', rows: { ids: [rows[1].id] } });
  await edit(library, { type: 'insert', after: rows[0].id, split: 'train', example: instruction('inserted') });
  await edit(library, { type: 'split', rows: { ids: [rows[3].id] }, split: 'validation' });
  const folder = join(library.folder, 'run');
  mkdirSync(folder);
  const freeze = async (method: 'sft' | 'dpo', dataset: string) => {
    const written = await writeSplit(library.workbench.library, Recipe.parse({ method, model: 'm', dataset }), folder, () => {});
    const read = (path: string | null) => path && readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Example);
    return { train: read(written.train), validation: read(written.validation) };
  };
  expect(await freeze('sft', 'rows')).toEqual({
    train: [instruction('edited'), instruction('inserted'), instruction('row 2')],
    validation: [instruction('row 3')],
  });
  // with the move undone there is no validation split any more: rows are held out by chance again
  await undo();
  expect((await freeze('sft', 'rows')).validation).toHaveLength(1);
  expect((await freeze('sft', 'rows')).train).toHaveLength(3);

  createEmpty(library.workbench, { name: 'pairs', kind: 'preference' });
  const pair: Example = { kind: 'preference', prompt: 'q', chosen: 'worse', rejected: 'better' };
  const { ids } = await editDataset(library.workbench, { dataset: 'pairs', command: { type: 'insert', after: null, split: 'train', example: pair } });
  await edit(library, { type: 'swap', rows: { ids } }, 'pairs');
  expect((await freeze('dpo', 'pairs')).train).toEqual([{ ...pair, chosen: 'better', rejected: 'worse' }]);
});
