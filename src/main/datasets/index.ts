/**
 * Datasets of the library: importing files, listing them, and reading a split back in its order. Memory stays flat at any number of rows.
 * How a file spells its rows is import.ts's affair; how a model sees them, the engine's; how they are changed, editing.ts's.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, rmSync, statSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import type { ColumnMapping } from '../../shared/api/datasets.ts';
import type { DatasetFormat, Example, RowProblem, Split } from '../../shared/dataset.ts';
import {
  type DatasetFileRow,
  type DatasetRow,
  deleteDataset as deleteDatasetRow,
  deleteDatasetFile,
  deleteEmptyDatasets,
  finishDatasetFile,
  getDatasetByName,
  getDatasetFile,
  hideDataset,
  insertDataset,
  insertDatasetFile,
  listDatasetFiles,
  listDatasets as listDatasetRows,
  listFileIds,
  renameDataset as renameDatasetRow,
} from '../db/datasets.ts';
import { countExamples, hasExamples, insertExamples, listExamplesAfter, purgeExamplesOfFile } from '../db/examples.ts';
import { insertRowProblems, listRowProblems } from '../db/row-problems.ts';
import type { Library } from '../library.ts';
import { OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';
import { searchIndexPath } from './find-rows.ts';
import { detectFormat, readDataset } from './import.ts';
import { inSlices } from './slices.ts';

/** Rows read, written or deleted in one go: a few ms. */
const BATCH = 250;

/** How a file would spell rows of each kind. */
const FORMAT_OF_KIND: Record<Example['kind'], DatasetFormat> = {
  instruction: 'alpaca',
  conversation: 'messages',
  completion: 'prompt-completion',
  preference: 'preference',
  ranking: 'ranking',
  classification: 'classification',
  unpaired: 'unpaired',
  text: 'text',
};

export type Dataset = DatasetRow & { files: (DatasetFileRow & { kinds: Partial<Record<Example['kind'], number>> })[] };

export type ImportOptions = {
  file: string;
  /** By default the file's name. An existing dataset takes one file per split. */
  name?: string;
  format?: DatasetFormat;
  split?: Split;
  /** Our field → the file's column; by default every format's own names. */
  mapping?: ColumnMapping;
  signal?: AbortSignal;
  /** Rows so far, and how many the file has by the share of its bytes that they took. */
  onProgress?: (rows: number, estimate: number) => void;
  onProblem?: (problem: RowProblem) => void;
};

export type Imported = { name: string; split: Split; format: DatasetFormat; rows: number; skipped: number; warnings: number };

/**
 * All of it or none: rows count only from the moment the whole file is in. Throws when no row could be read. Others get their turn every
 * few ms.
 */
export async function importDataset(library: Library, options: ImportOptions): Promise<Imported> {
  const { db } = library;
  const { mapping, signal } = options;
  const file = resolve(options.file);
  if (!existsSync(file)) throw new UserError(`${options.file}: no such file`);
  const name = options.name ?? basename(file, extname(file));
  const split = options.split ?? 'train';
  const format = options.format ?? (await detectFormat(file, mapping));

  const fileId = db
    .transaction(() => {
      const datasetId = getDatasetByName(db, name)?.id ?? insertDataset(db, name);
      const old = getDatasetFile(db, datasetId, split);
      if (old?.status === 'importing') throw new UserError(`dataset ${name}: another process is importing its ${split} split just now`);
      // made in the editor, and nothing ever came into it
      if (old && old.file === '' && !hasExamples(db, old.id)) deleteDatasetFile(db, old.id);
      else if (old) {
        const of = old.file === '' ? 'made in the editor' : `of ${old.file}`;
        const way = `choose another --name or --split, or delete it first (attune datasets --delete ${name})`;
        throw new UserError(`dataset ${name} has a ${split} split already, ${old.rows} rows ${of}: ${way}`);
      }
      return insertDatasetFile(db, { datasetId, file, format, split, owner: OWNER });
    })
    .immediate();

  const totals = { rows: 0, skipped: 0, warnings: 0 };
  let examples: { line: number; example: Example }[] = [];
  let problems: RowProblem[] = [];
  let bytes = 0;
  const size = statSync(file).size;
  const flush = db.transaction(() => {
    insertExamples(db, fileId, examples);
    insertRowProblems(db, fileId, problems);
  });
  const flushAll = async (): Promise<void> => {
    flush.immediate();
    examples = [];
    problems = [];
    options.onProgress?.(totals.rows, Math.round((totals.rows * size) / Math.max(1, bytes)));
    await new Promise(setImmediate);
    signal?.throwIfAborted();
  };

  try {
    for await (const row of readDataset(file, { format, mapping, onBytes: (read) => (bytes = read) })) {
      if ('problem' in row) {
        totals[row.problem.severity === 'skipped' ? 'skipped' : 'warnings']++;
        problems.push(row.problem);
        options.onProblem?.(row.problem);
      } else {
        totals.rows++;
        examples.push({ line: row.line, example: row.example });
      }
      if (examples.length + problems.length >= BATCH) await flushAll();
    }
    await flushAll();
    if (totals.rows === 0) {
      const reason = totals.skipped > 0 ? `none of its ${totals.skipped} rows could be read as ${format}` : 'it has no rows';
      throw new UserError(`${options.file}: nothing was imported: ${reason}${options.format ? '' : '; name its format with --format'}`);
    }
    const sha256 = await sha256File(file);
    signal?.throwIfAborted();
    finishDatasetFile(db, fileId, { ...totals, sha256 });
  } catch (error) {
    await purgeFile(library, fileId);
    throw error;
  }
  return { name, split, format, ...totals };
}

/** A file with its rows, some at a time, and its dataset where that was all of it. */
async function purgeFile({ db }: Library, fileId: number): Promise<void> {
  await inSlices(db, () => {
    if (purgeExamplesOfFile(db, fileId, BATCH) > 0) return true;
    deleteDatasetFile(db, fileId);
    deleteEmptyDatasets(db);
    return false;
  });
}

/** Empty, for rows of one kind, to be filled in the editor. */
export function createDataset({ db }: Library, name: string, kind: Example['kind']): void {
  const create = db.transaction(() => {
    checkNameIsFree(db, name);
    const datasetId = insertDataset(db, name);
    const fileId = insertDatasetFile(db, { datasetId, file: '', format: FORMAT_OF_KIND[kind], split: 'train', owner: OWNER });
    finishDatasetFile(db, fileId, { skipped: 0, warnings: 0, sha256: null });
  });
  create.immediate();
}

/** A new dataset of these rows, all of it or none; others get their turn in between. */
export async function writeDataset(library: Library, name: string, kind: Example['kind'], rows: Example[], signal?: AbortSignal): Promise<void> {
  const { db } = library;
  const begin = db.transaction(() => {
    checkNameIsFree(db, name);
    return insertDatasetFile(db, { datasetId: insertDataset(db, name), file: '', format: FORMAT_OF_KIND[kind], split: 'train', owner: OWNER });
  });
  const fileId = begin.immediate();
  try {
    for (let start = 0; start < rows.length; start += BATCH) {
      const page = rows.slice(start, start + BATCH).map((example, i) => ({ line: start + i + 1, example }));
      db.transaction(() => insertExamples(db, fileId, page)).immediate();
      await new Promise(setImmediate);
      signal?.throwIfAborted();
    }
    finishDatasetFile(db, fileId, { skipped: 0, warnings: 0, sha256: null });
  } catch (error) {
    await purgeFile(library, fileId);
    throw error;
  }
}

export function renameDataset(library: Library, name: string, to: string): void {
  const { db } = library;
  const rename = db.transaction(() => {
    const dataset = getDataset(library, name);
    if (to === name) return;
    checkNameIsFree(db, to);
    renameDatasetRow(db, dataset.id, to);
  });
  rename.immediate();
}

function checkNameIsFree(db: Library['db'], name: string): void {
  if (name.trim() === '') throw new UserError('a dataset needs a name');
  if (getDatasetByName(db, name)) throw new UserError(`${name}: the library has a dataset of that name already: choose another`);
}

export function listDatasets(library: Library): Dataset[] {
  return listDatasetRows(library.db).map((row) => withFiles(library, row));
}

/** Null when the library has none of that name, or not one whole file of it. Splits without rows are left out, if any other has rows. */
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

export function getDataset(library: Library, name: string): Dataset {
  const dataset = findDataset(library, name);
  if (!dataset) throw new UserError(`${name}: the library has no dataset of that name`);
  return dataset;
}

/** Out of sight at once, then its rows, some at a time; opening the library goes on with it where this process is killed. */
export async function deleteDataset(library: Library, name: string): Promise<void> {
  const { db } = library;
  const dataset = getDataset(library, name);
  hideDataset(db, dataset.id, OWNER);
  for (const id of listFileIds(db, dataset.id)) await purgeFile(library, id);
  deleteDatasetRow(db, dataset.id);
  for (const end of ['', '-wal', '-shm']) rmSync(`${searchIndexPath(library.folder, dataset)}${end}`, { force: true });
}

/** What the import of a file skipped or warned of, in order. */
export function listProblems(library: Library, file: DatasetFileRow, limit: number): RowProblem[] {
  return listRowProblems(library.db, file.id, limit).map((problem) => ({ file: file.file, ...problem }));
}

/** Every row of one file of a dataset as it now is, in order, as one JSON text each; a page at a time, so nothing is locked in between. */
export function* readRows(library: Library, fileId: number): Generator<{ kind: Example['kind']; json: string }> {
  for (let after = 0; ; ) {
    const page = listExamplesAfter(library.db, fileId, after, BATCH);
    for (const { kind, body } of page) yield { kind, json: body };
    if (page.length < BATCH) return;
    after = page[page.length - 1].position;
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

function withFiles({ db }: Library, row: DatasetRow): Dataset {
  const files = listDatasetFiles(db, row.id).map((file) => {
    const kinds = Object.fromEntries(countExamples(db, file.id).map(({ kind, count }) => [kind, count]));
    return { ...file, kinds };
  });
  const filled = files.filter(({ rows }) => rows > 0);
  return { ...row, files: filled.length > 0 ? filled : files };
}

async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
