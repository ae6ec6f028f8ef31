/**
 * Datasets of the library: importing files, listing them, and reading a split back in its order. Memory stays flat at any number of rows.
 * How a file spells its rows is import.ts's affair; how a model sees them, the engine's.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import type { DatasetFormat, Example, PreferenceExample, RowProblem, Split } from '../../shared/dataset.ts';
import {
  type DatasetFileRow,
  deleteDataset as deleteDatasetRow,
  deleteDatasetFile,
  deleteEmptyDatasets,
  finishDatasetFile,
  getDatasetByName,
  getDatasetFile,
  insertDataset,
  insertDatasetFile,
  listDatasetFiles,
  listDatasets as listDatasetRows,
} from '../db/datasets.ts';
import { countExamples, insertExamples, listExamplesAfter } from '../db/examples.ts';
import { countPreferencePairs, insertPreferencePairs, listPreferencePairsAfter } from '../db/preference-pairs.ts';
import { insertRowProblems, listRowProblems } from '../db/row-problems.ts';
import type { Library } from '../library.ts';
import { OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';
import { detectFormat, readDataset } from './import.ts';

/** Rows that go into the database in one transaction. */
const BATCH = 1000;

export type Dataset = { id: number; name: string; createdAt: string; files: (DatasetFileRow & { kinds: Record<string, number> })[] };

export type ImportOptions = {
  file: string;
  /** By default the file's name. An existing dataset takes one file per split. */
  name?: string;
  format?: DatasetFormat;
  split?: Split;
  onProgress?: (rows: number) => void;
  onProblem?: (problem: RowProblem) => void;
};

export type Imported = { name: string; split: Split; format: DatasetFormat; rows: number; skipped: number; warnings: number };

/** All of it or none: rows count only from the moment the whole file is in. Throws when no row could be read. */
export async function importDataset(library: Library, options: ImportOptions): Promise<Imported> {
  const { db } = library;
  const file = resolve(options.file);
  if (!existsSync(file)) throw new UserError(`${options.file}: no such file`);
  const name = options.name ?? basename(file, extname(file));
  const split = options.split ?? 'train';
  const format = options.format ?? (await detectFormat(file));

  const fileId = db
    .transaction(() => {
      const datasetId = getDatasetByName(db, name)?.id ?? insertDataset(db, name);
      const old = getDatasetFile(db, datasetId, split);
      if (old?.status === 'importing') throw new UserError(`dataset ${name}: another process is importing its ${split} split just now`);
      if (old) {
        const way = `choose another --name or --split, or delete it first (attune datasets --delete ${name})`;
        throw new UserError(`dataset ${name} has a ${split} split already, ${old.rows} rows of ${old.file}: ${way}`);
      }
      return insertDatasetFile(db, { datasetId, file, format, split, owner: OWNER });
    })
    .immediate();

  const totals = { rows: 0, skipped: 0, warnings: 0 };
  let examples: { line: number; example: Exclude<Example, PreferenceExample> }[] = [];
  let pairs: { line: number; example: PreferenceExample }[] = [];
  let problems: RowProblem[] = [];
  const flush = db.transaction(() => {
    insertExamples(db, fileId, examples);
    insertPreferencePairs(db, fileId, pairs);
    insertRowProblems(db, fileId, problems);
  });
  const flushAll = (): void => {
    flush.immediate();
    examples = [];
    pairs = [];
    problems = [];
    options.onProgress?.(totals.rows);
  };

  try {
    for await (const row of readDataset(file, { format })) {
      if ('problem' in row) {
        totals[row.problem.severity === 'skipped' ? 'skipped' : 'warnings']++;
        problems.push(row.problem);
        options.onProblem?.(row.problem);
      } else {
        totals.rows++;
        if (row.example.kind === 'preference') pairs.push({ line: row.line, example: row.example });
        else examples.push({ line: row.line, example: row.example });
      }
      if (examples.length + pairs.length + problems.length >= BATCH) flushAll();
    }
    flushAll();
    if (totals.rows === 0) {
      const reason = totals.skipped > 0 ? `none of its ${totals.skipped} rows could be read as ${format}` : 'it has no rows';
      throw new UserError(`${options.file}: nothing was imported: ${reason}${options.format ? '' : '; name its format with --format'}`);
    }
    finishDatasetFile(db, fileId, { ...totals, sha256: await sha256File(file) });
  } catch (error) {
    db.transaction(() => {
      deleteDatasetFile(db, fileId);
      deleteEmptyDatasets(db);
    }).immediate();
    throw error;
  }
  return { name, split, format, ...totals };
}

export function listDatasets(library: Library): Dataset[] {
  return listDatasetRows(library.db).map((row) => withFiles(library, row));
}

/** Null when the library has none of that name, or not one whole file of it. */
export function findDataset(library: Library, name: string): Dataset | null {
  const row = getDatasetByName(library.db, name);
  const dataset = row && withFiles(library, row);
  return dataset && dataset.files.length > 0 ? dataset : null;
}

/** What a recipe or a command names: a dataset of the library, else a file (made absolute), looked for in the folders `from`. */
export function resolveDataset(library: Library, name: string, from: string[] = [process.cwd()]): string {
  if (findDataset(library, name)) return name;
  const file = from.map((folder) => resolve(folder, name)).find((path) => existsSync(path));
  if (file && statSync(file).isFile()) return file;
  if (file) throw new UserError(`${name}: a folder; name the file with the rows`);
  const names = listDatasets(library).map((known) => known.name);
  throw new UserError(
    `${name}: no dataset of that name in the library and no such file; there is ${names.length ? names.join(', ') : 'no dataset yet'} (attune import FILE adds one)`,
  );
}

export function deleteDataset(library: Library, name: string): void {
  const dataset = findDataset(library, name);
  if (!dataset) throw new UserError(`${name}: the library has no dataset of that name`);
  deleteDatasetRow(library.db, dataset.id);
}

/** What the import of a file skipped or warned of, in order. */
export function listProblems(library: Library, file: DatasetFileRow, limit: number): RowProblem[] {
  return listRowProblems(library.db, file.id, limit).map((problem) => ({ file: file.file, ...problem }));
}

/** Every row of one file of a dataset, in the file's order, as one JSON text each; a page at a time, so nothing is locked in between. */
export function* readRows(library: Library, fileId: number): Generator<{ kind: Example['kind']; json: string }> {
  for (let after = 0; ; ) {
    const page = listExamplesAfter(library.db, fileId, after, BATCH);
    for (const { kind, body } of page) yield { kind, json: body };
    if (page.length < BATCH) break;
    after = page[page.length - 1].id;
  }
  for (let after = 0; ; ) {
    const page = listPreferencePairsAfter(library.db, fileId, after, BATCH);
    for (const { example } of page) yield { kind: 'preference', json: JSON.stringify(example) };
    if (page.length < BATCH) break;
    after = page[page.length - 1].id;
  }
}

/** A file's rows without importing it, as one JSON text each; rows that cannot be read are told and left out. */
export async function* readFileRows(
  file: string,
  onProblem: (problem: RowProblem) => void,
): AsyncGenerator<{ kind: Example['kind']; json: string }> {
  for await (const row of readDataset(file, {})) {
    if ('problem' in row) onProblem(row.problem);
    else yield { kind: row.example.kind, json: JSON.stringify(row.example) };
  }
}

function withFiles({ db }: Library, row: { id: number; name: string; createdAt: string }): Dataset {
  const files = listDatasetFiles(db, row.id).map((file) => {
    const kinds = Object.fromEntries(countExamples(db, file.id).map(({ kind, count }) => [kind, count]));
    const pairs = countPreferencePairs(db, file.id);
    return { ...file, kinds: pairs > 0 ? { ...kinds, preference: pairs } : kinds };
  });
  return { ...row, files };
}

async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
