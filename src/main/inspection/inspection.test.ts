/** The inspector over a library: measured once and kept until the files change, vocabularies searched and paged, models that cannot be read refused in one sentence. */
import { appendFileSync, cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { VocabularyEntry } from '../../shared/inspection.ts';
import { addModel } from '../models/index.ts';
import { createTestPlace, type TestPlace } from '../runs/testing.ts';
import { startDiff, startWeighing } from './desk.ts';
import { diff, inspect, keptChanges, keptNumbers, weigh } from './index.ts';
import { searchVocabulary } from './vocabulary.ts';

let place: TestPlace;
beforeEach(() => {
  place = createTestPlace();
  addModel(place.workbench.library, join(place.folder, 'tiny'));
});
afterEach(() => place.remove());

test('numbers are kept by the files they came from, and are forgotten when those change', async () => {
  const { library } = place.workbench;
  expect(keptNumbers(library, 'tiny')).toBeNull();
  const counts: number[] = [];
  const found = await weigh(library, 'tiny', { onCount: (done) => counts.push(done) });
  expect(counts.at(-1)).toBe(found.length);
  expect(keptNumbers(library, 'tiny')).toEqual(found);
  await weigh(library, 'tiny', { onCount: () => expect.unreachable('it is kept') });
  const [file] = readdirSync(join(library.folder, 'inspections'));
  writeFileSync(join(library.folder, 'inspections', file), '{"damaged');
  expect(keptNumbers(library, 'tiny')).toBeNull();
  await weigh(library, 'tiny');
  appendFileSync(join(place.folder, 'tiny', 'config.json'), '\n');
  expect(keptNumbers(library, 'tiny')).toBeNull();
});

test('a model is compared with another as a task that a second asking joins; the answer is kept', async () => {
  const { library, tasks, changes } = place.workbench;
  cpSync(join(place.folder, 'tiny'), join(place.folder, 'twin'), { recursive: true });
  addModel(library, join(place.folder, 'twin'));
  const context = { library, tasks, changes };
  const { taskId } = startDiff(context, 'tiny', 'twin');
  expect(startDiff(context, 'tiny', 'twin').taskId).toBe(taskId);
  const ended = new Promise<void>((resolve) => void (async () => {
    for await (const list of tasks.watch()) if (list.find(({ id }) => id === taskId)?.state === 'done') return resolve();
  })());
  await ended;
  const kept = keptChanges(library, 'tiny', 'twin')!;
  expect(kept.tensors.length).toBeGreaterThan(0);
  expect(kept.tensors.every(({ found, relative }) => found === 'both' && relative === 0)).toBe(true);
  expect(keptChanges(library, 'twin', 'tiny')).toBeNull();
  expect(await diff(library, 'tiny', 'twin')).toEqual(kept);
});

test('a weighing that is cancelled keeps nothing', async () => {
  const { library, tasks, changes } = place.workbench;
  const { taskId } = startWeighing({ library, tasks, changes }, 'tiny');
  tasks.cancel(taskId);
  await tasks.close();
  expect(tasks.list()[0].state).toBe('cancelled');
  expect(keptNumbers(library, 'tiny')).toBeNull();
});

test('a folder that is gone or incomplete is refused in one sentence', async () => {
  const { library } = place.workbench;
  rmSync(join(place.folder, 'tiny', 'model.safetensors'));
  await expect(inspect(library, 'tiny')).rejects.toThrow(/has no weights: expected model\.safetensors/);
  await expect(weigh(library, 'tiny')).rejects.toThrow(/has no weights/);
});

test('a vocabulary is searched by text, id, bytes and kind, exact ones first, and read by pages', async () => {
  const { library, vocabularies } = place.workbench;
  const page = (query: string, more = {}) => vocabularies.page(library, { model: 'tiny', query, kind: null, offset: 0, count: 100, ...more });
  const all = await page('');
  expect(all).toMatchObject({ type: 'BPE', total: 128, matched: 128, kinds: { special: 3 } });
  expect((await page('', { offset: 120 })).entries.map(({ id }) => id)).toEqual([120, 121, 122, 123, 124, 125, 126, 127]);
  expect((await page('', { kind: 'special' })).entries.map(({ token }) => token)).toEqual(['<|endoftext|>', '<|im_start|>', '<|im_end|>']);
  expect((await page('2')).entries[0]).toMatchObject({ id: 2 });
  expect((await page('0x20')).entries[0]).toMatchObject({ text: ' ' });
  expect((await page('IM_END')).entries).toMatchObject([{ id: 2 }]);
  expect((await page('no such token')).matched).toBe(0);
});

test('what is the searched text stands before what holds it', () => {
  const entry = (id: number, text: string): VocabularyEntry => ({ id, token: text.replace(' ', 'Ġ'), kind: 'normal', bytes: Buffer.from(text).toString('hex'), text, merge: null, score: null, roles: [] });
  const entries = ['bathe', ' the', 'the', 'The', '7'].map((text, id) => entry(id + 3, text));
  const found = (query: string) => searchVocabulary({ type: 'BPE', entries }, query, null).map(({ text }) => text);
  expect(found('the')).toEqual(['the', 'The', ' the', 'bathe']);
  expect(found('7')).toEqual(['7']); // its id is 7, too
  expect(found('5')).toEqual(['the']);
  expect(found('0x746865')).toEqual(['the', 'bathe', ' the']);
});
