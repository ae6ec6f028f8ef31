/**
 * A look at the rows a recipe would train on: at most 2,000 of them, spread over the data, and how many there are. Reads no more of a large
 * dataset than it needs; of a large file it counts the rows by the share of its bytes that were read.
 */
import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Recipe } from '../../shared/recipe.ts';
import { findDataset, readFileRows, readRows } from '../datasets/index.ts';
import { getPositionRange, listExamplesAfter } from '../db/examples.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';
import { checkKind, drawHeldOut, inSlices, type Row, takenRows } from './split.ts';

export type SampledRows = { rows: string[]; trainRows: number; validationRows: number };

const WANTED = 2000;
/** Rows read together at one place of a large dataset. */
const BLOCK = 50;
/** A file up to this size is read whole, bytes; of a larger one so many rows. */
const SMALL_FILE = 20e6;
const FILE_ROWS = 5000;

/** `recipe.dataset` is a library name or an absolute file, as createRun resolves it. */
export async function sampleRows(library: Library, recipe: Recipe): Promise<SampledRows> {
  const dataset = findDataset(library, recipe.dataset);
  if (!dataset) return sampleFile(recipe);
  const [train, validation] = (['train', 'validation'] as const).map((split) => dataset.files.find((file) => file.split === split));
  if (!train) throw new UserError(`dataset ${recipe.dataset} has no train split: import one, or move rows into it`);
  for (const file of validation ? [train, validation] : [train]) for (const kind in file.kinds) checkKind(recipe, kind as Row['kind']);
  if (train.rows === 0) throw new UserError(`${recipe.dataset}: no row to train on`);
  const heldOut = validation ? new Set<number>() : drawHeldOut(train.rows, recipe.evalRatio, recipe.seed);
  const taken = takenRows(recipe);
  const counts = { trainRows: countTaken(train.rows, heldOut, taken), validationRows: validation ? validation.rows : heldOut.size };
  if (train.rows <= WANTED * 2) {
    const rows: string[] = [];
    let index = 0;
    for await (const { json } of inSlices(readRows(library, train.id))) {
      if (!heldOut.has(index) && taken(index)) rows.push(json);
      index++;
    }
    return { rows: spread(rows), ...counts };
  }
  return { rows: await sampleBlocks(library, train.id), ...counts };
}

/** From places spread evenly between the first row and the last. */
async function sampleBlocks({ db }: Library, fileId: number): Promise<string[]> {
  const range = getPositionRange(db, fileId)!;
  const rows: string[] = [];
  const blocks = WANTED / BLOCK;
  let after = -Infinity;
  for (let i = 0; i < blocks; i++) {
    const page = listExamplesAfter(db, fileId, Math.max(after, range.first - 1 + ((range.last - range.first) * i) / blocks), BLOCK);
    rows.push(...page.map(({ body }) => body));
    after = page.at(-1)?.position ?? after;
    await setImmediate();
  }
  return rows;
}

async function sampleFile(recipe: Recipe): Promise<SampledRows> {
  const size = statSync(recipe.dataset, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw new UserError(`${recipe.dataset}: no dataset of that name and no such file`);
  const small = size <= SMALL_FILE;
  let all: string[] = [];
  let bytes = 0;
  for await (const { kind, json } of inSlices(readFileRows(recipe.dataset, () => {}))) {
    checkKind(recipe, kind);
    all.push(json);
    bytes += Buffer.byteLength(json);
    if (!small && all.length === FILE_ROWS) break;
  }
  if (all.length === 0) throw new UserError(`${recipe.dataset}: no row to train on`);
  const count = small || all.length < FILE_ROWS ? all.length : Math.round((all.length * size) / bytes);
  const heldOut = drawHeldOut(count, recipe.evalRatio, recipe.seed);
  const taken = takenRows(recipe);
  if (count === all.length) all = all.filter((_, i) => !heldOut.has(i) && taken(i));
  return { rows: spread(all), trainRows: countTaken(count, heldOut, taken), validationRows: heldOut.size };
}

function countTaken(rows: number, heldOut: Set<number>, taken: (row: number) => boolean): number {
  let count = 0;
  for (let row = 0; row < rows; row++) if (!heldOut.has(row) && taken(row)) count++;
  return count;
}

/** At most WANTED of them, evenly, in order. */
function spread(rows: string[]): string[] {
  const wanted = Math.min(WANTED, rows.length);
  return Array.from({ length: wanted }, (_, i) => rows[Math.floor((i * rows.length) / wanted)]);
}
