/** Unfinished exports as folders: whose they are, what is told of them, and what becomes of those nobody goes on with. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeLibrary, type Library, openLibrary } from '../library.ts';
import { discardUnfinished, type Inputs, isFree, listUnfinished, openPartial, removeAbandoned } from './partial.ts';

let root: string;
let library: Library;
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-partial-'));
  library = openLibrary(join(root, 'library'));
});
afterAll(() => {
  closeLibrary(library);
  rmSync(root, { recursive: true, force: true });
});

const INPUTS: Inputs = { model: 'as it is', description: '{}', program: '1' };
const target = (): string => join(root, `target-${++count}`);
function open(folder: string, { dtype = 'f16' as const, ...inputs }: Partial<Inputs> & { dtype?: 'f16' | 'q8_0' } = {}) {
  const told: string[] = [];
  const partial = openPartial(library, { model: 'tiny', format: 'gguf', dtype, folder, force: false, given: {} }, { ...INPUTS, ...inputs }, (sentence) => told.push(sentence));
  return { ...partial, told };
}
/** As the engine would leave it: files, and a line a tensor. */
function fill({ files, journal }: { files: string; journal: string }, tensors: number): void {
  writeFileSync(join(files, 'model.gguf'), 'x'.repeat(100));
  writeFileSync(join(files, 'config.json.77.tmp'), 'half');
  writeFileSync(journal, '{}\n'.repeat(tensors));
}

it('is found again for the same inputs, with what is in it but for half-written files, and becomes the target in the end', () => {
  const folder = target();
  const first = open(folder);
  fill(first, 3);
  first.setTotal(12);
  const error = first.leave(new Error(`cannot write ${first.files}/model.gguf: the disk is full; free some space and try again`));
  expect(error.message).toBe(`cannot write ${folder}/model.gguf: the disk is full; free some space and try again (3 of 12 tensors are kept: the same export, asked for again, goes on with them)`);
  expect(listUnfinished(library)).toMatchObject([{ model: 'tiny', format: 'gguf', dtype: 'f16', folder, done: 3, total: 12, running: false, error: expect.stringContaining('the disk is full') as string }]);

  const again = open(folder);
  expect(again.told).toEqual(['goes on with what was written before: 3 tensors are there']);
  expect(again.files).toBe(first.files);
  expect(readdirSync(again.files)).toEqual(['model.gguf']);
  expect(listUnfinished(library)).toMatchObject([{ running: true, error: null, total: 12 }]);
  expect(() => discardUnfinished(library, listUnfinished(library)[0]!.id)).toThrow(/is being written just now/);
  expect(() => open(folder)).toThrow(/this very export is being written already/);
  again.moveIn('config.json');
  expect(readdirSync(folder)).toEqual(['model.gguf']);
  expect(listUnfinished(library)).toEqual([]);
  expect(existsSync(dirname(again.files))).toBe(false);
});

it('whose owner died is free, and one without a whole tensor is not kept', () => {
  const folder = target();
  const partial = open(folder);
  writeFileSync(join(dirname(partial.files), 'owner'), '999999999:1');
  expect(listUnfinished(library)).toMatchObject([{ running: false }]);
  const error = new Error('out of luck');
  expect(open(folder).leave(error)).toBe(error);
  expect(listUnfinished(library)).toEqual([]);
  expect(existsSync(dirname(partial.files))).toBe(false);
});

it('of what changed since is taken away with a sentence; one of another type, or that is running, stays', () => {
  const folder = target();
  const [old, other] = [open(folder), open(folder, { dtype: 'q8_0' })];
  fill(old, 2);
  fill(other, 2);
  expect(open(folder, { model: 'edited' }).told).toEqual([]);
  old.leave(new Error('x'));
  other.leave(new Error('x'));
  expect(open(folder, { model: 'edited again', program: '2' }).told).toEqual(["starts anew: the model's files and Attune changed since this export was begun, so what was written of it cannot be used"]);
  expect(existsSync(old.files)).toBe(false);
  expect(existsSync(other.files)).toBe(true);
  for (const { id, running } of listUnfinished(library)) if (!running) discardUnfinished(library, id);
  expect(existsSync(other.files)).toBe(false);
  expect(listUnfinished(library).map(({ running }) => running)).toEqual([true, true]);
  expect(() => discardUnfinished(library, 'nothing')).toThrow(/not there any more/);
});

it('lies in a folder that has something in it, which counts as free but for that, and goes in file by file', () => {
  const folder = target();
  mkdirSync(folder);
  expect(dirname(dirname(open(folder, { model: 'beside' }).files))).toBe(root);
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  const partial = open(folder);
  expect(dirname(dirname(partial.files))).toBe(folder);
  expect(isFree(folder)).toBe(false);
  rmSync(join(folder, 'notes.txt'));
  expect(isFree(folder)).toBe(true);
  writeFileSync(join(folder, 'notes.txt'), 'mine');
  for (const name of ['a.json', 'config.json', 'z.json']) writeFileSync(join(partial.files, name), name);
  partial.moveIn('config.json');
  expect(readdirSync(folder).sort()).toEqual(['a.json', 'config.json', 'notes.txt', 'z.json']);
});

it('nobody went on with for a month is taken away, and told', () => {
  const folder = target();
  const partial = open(folder);
  fill(partial, 2);
  partial.leave(new Error('x'));
  expect(removeAbandoned(library)).toEqual([]);
  for (const name of ['job.json', 'journal.jsonl']) utimesSync(join(dirname(partial.files), name), new Date(), new Date('2020-03-01T12:00:00Z'));
  expect(removeAbandoned(library)).toEqual([`an export of tiny to ${folder} that was never finished, and lay still since 2020-03-01, was removed`]);
  expect(existsSync(partial.files)).toBe(false);
});
