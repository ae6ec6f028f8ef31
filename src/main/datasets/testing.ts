/** For tests: a workbench in a temporary folder with a dataset of numbered rows in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EditCommand, EditorRow, RowFilter } from '../../shared/api/datasets.ts';
import { answerText, type Example, type Split } from '../../shared/dataset.ts';
import { openWorkbench, type Workbench } from '../workbench.ts';
import { openView, rowsOfView } from './desk.ts';
import { editDataset } from './editing.ts';
import { importDataset } from './index.ts';

export type TestLibrary = { folder: string; workbench: Workbench; reopen(): Promise<Workbench>; close(): Promise<void> };

export const open = (folder: string): Workbench => openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, join(folder, 'library'));

export function openTestLibrary(): TestLibrary {
  const folder = mkdtempSync(join(tmpdir(), 'attune-datasets-'));
  const test: TestLibrary = {
    folder,
    workbench: open(folder),
    async reopen() {
      if (test.workbench.library.db.open) await test.workbench.close();
      return (test.workbench = open(folder));
    },
    async close() {
      await test.workbench.close();
      rmSync(folder, { recursive: true });
    },
  };
  return test;
}

export const instruction = (text: string): Example => ({ kind: 'instruction', instruction: text, input: '', output: `answer to ${text}` });

/** Rows `row 0`, `row 1`, …, imported from a file. */
export async function importRows(test: TestLibrary, count: number, { name = 'rows', split = 'train' as Split, word = 'row' } = {}): Promise<void> {
  const file = join(test.folder, `${name}-${split}.jsonl`);
  writeFileSync(file, Array.from({ length: count }, (_, i) => `${JSON.stringify(instruction(`${word} ${i}`))}\n`).join(''));
  await importDataset(test.workbench.library, { file, name, split });
}

export async function viewOf({ workbench }: TestLibrary, filter: RowFilter = {}, dataset = 'rows'): Promise<number> {
  return (await openView(workbench, { dataset, filter })).view;
}

export async function rowsOf(test: TestLibrary, filter: RowFilter = {}, dataset = 'rows'): Promise<EditorRow[]> {
  const { view, count } = await openView(test.workbench, { dataset, filter });
  return Array.from({ length: Math.ceil(count / 500) }, (_, page) => rowsOfView(test.workbench, { view, from: page * 500, count: 500 })).flat();
}

/** What each row says first. */
export async function textsOf(test: TestLibrary, filter: RowFilter = {}, dataset = 'rows'): Promise<string[]> {
  return (await rowsOf(test, filter, dataset)).map(({ example }) => ('instruction' in example ? example.instruction : 'chosen' in example ? answerText(example.chosen) : '?'));
}

export const edit = ({ workbench }: TestLibrary, command: EditCommand, dataset = 'rows') => editDataset(workbench, { dataset, command });
