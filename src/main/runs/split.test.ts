import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { importDataset } from '../datasets/index.ts';
import { closeLibrary, type Library, openLibrary } from '../library.ts';
import { drawHeldOut, writeSplit } from './split.ts';

let folder: string;
let library: Library;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-split-'));
  library = openLibrary(join(folder, 'library'));
  mkdirSync(join(folder, 'run'));
});
afterEach(() => {
  closeLibrary(library);
  rmSync(folder, { recursive: true });
});

const rowsOf = (path: string) => readFileSync(path, 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { output: string }).output);
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const recipe = (fields: object) => Recipe.parse({ method: 'sft', model: 'm', ...fields });
function alpacaFile(name: string, count: number): string {
  const path = join(folder, name);
  const rows = Array.from({ length: count }, (_, i) => JSON.stringify({ instruction: `say ${i}`, input: '', output: `answer ${i}` }));
  writeFileSync(path, rows.join('\n') + '\n');
  return path;
}

test('held-out rows are drawn without repeats, the same for the same seed, and spread over the data', () => {
  const drawn = drawHeldOut(1000, 0.1, 42);
  expect(drawn.size).toBe(100);
  expect(drawHeldOut(1000, 0.1, 42)).toEqual(drawn);
  expect(drawHeldOut(1000, 0.1, 43)).not.toEqual(drawn);
  // 100 of 1000 leave any tenth of the data without a row with probability 0.9^100 ≈ 3e-5
  expect(new Set([...drawn].map((i) => Math.floor(i / 100))).size).toBe(10);
  expect(drawHeldOut(1000, 0, 42).size).toBe(0);
  expect(drawHeldOut(3, 0.05, 42).size).toBe(1);
  expect(drawHeldOut(1, 0.5, 42).size).toBe(0);
});

test('a file becomes train and validation rows, each row in one of them, in the order of the file', async () => {
  const file = alpacaFile('rows.jsonl', 40);
  const split = await writeSplit(library, recipe({ dataset: file, evalRatio: 0.25 }), join(folder, 'run'), () => {});
  const [train, validation] = [rowsOf(split.train), rowsOf(split.validation!)];
  expect([train.length, validation.length]).toEqual([30, 10]);
  expect(new Set([...train, ...validation]).size).toBe(40);
  const number = (text: string) => Number(text.slice(7));
  expect(train.map(number)).toEqual(train.map(number).sort((a, b) => a - b));
  expect(split.trainSha256).toBe(sha256(split.train));
  expect(split.validationSha256).toBe(sha256(split.validation!));
});

test('a library dataset gives the same bytes as the file it came from', async () => {
  const file = alpacaFile('rows.jsonl', 2500); // more than two pages
  await importDataset(library, { file, name: 'rows' });
  const fromFile = await writeSplit(library, recipe({ dataset: file }), join(folder, 'run'), () => {});
  const fromLibrary = await writeSplit(library, recipe({ dataset: 'rows' }), join(folder, 'run'), () => {});
  expect(fromLibrary.trainSha256).toBe(fromFile.trainSha256);
  expect(fromLibrary.validationSha256).toBe(fromFile.validationSha256);
});

test('a dataset with a validation split keeps every train row', async () => {
  await importDataset(library, { file: alpacaFile('train.jsonl', 20), name: 'rows' });
  await importDataset(library, { file: alpacaFile('held-out.jsonl', 5), name: 'rows', split: 'validation' });
  const split = await writeSplit(library, recipe({ dataset: 'rows', evalRatio: 0.5 }), join(folder, 'run'), () => {});
  expect(rowsOf(split.train)).toHaveLength(20);
  expect(rowsOf(split.validation!)).toHaveLength(5);
});

test('rows of the wrong kind for the method are refused with the dataset and the way out', async () => {
  await importDataset(library, { file: alpacaFile('rows.jsonl', 3), name: 'rows' });
  const dpo = Recipe.parse({ method: 'dpo', model: 'm', dataset: 'rows' });
  await expect(writeSplit(library, dpo, join(folder, 'run'), () => {})).rejects.toThrow(
    'dataset rows: it has instruction rows, and dpo trains on preference pairs (prompt, chosen, rejected): choose another dataset or method',
  );
});
