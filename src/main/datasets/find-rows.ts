/**
 * A filter → the ids of the rows it lets through, in order: train, validation, test, in each by position. Also takes rows into the search
 * index. Reads everything at once and takes its time, so it runs on a thread (find-thread.ts), with a connection of its own.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RowFilter } from '../../shared/api/datasets.ts';
import { answerText, type Example, messageText } from '../../shared/dataset.ts';
import type { Database } from '../db/database.ts';
import { listDatasetFiles } from '../db/datasets.ts';
import { firstImportingId, listBodies, listEditedIds, listExampleIds, listExampleIdsAbove, listPositions } from '../db/examples.ts';
import type { SearchIndex } from '../db/search-index.ts';
import { getScoring, listScoredIds } from '../db/row-scores.ts';
import { listTaggedIds } from '../db/tags.ts';
import { listUnindexedRows, settleUnindexedRows } from '../db/unindexed-rows.ts';

export type SearchedDataset = { id: number; createdAt: string };

/** Up to so many rows are looked up one by one; for more the whole order is read. */
const FEW = 20_000;
/** Rows taken into the search index in one transaction. */
const INDEXED_TOGETHER = 500;

/** `index` must be up to date (indexRows) where the filter has a text. */
export function findRows(db: Database, datasetId: number, filter: RowFilter, index: SearchIndex | null): Float64Array {
  const files = listDatasetFiles(db, datasetId).filter(({ split }) => filter.split === undefined || split === filter.split);
  const sets: number[][] = [];
  if (filter.tag !== undefined) sets.push(listTaggedIds(db, datasetId, filter.tag));
  if (filter.text !== undefined && filter.text.trim() !== '') sets.push(index!.search(filter.text));
  if (filter.minScore !== undefined || filter.maxScore !== undefined) {
    const scoring = getScoring(db, datasetId);
    sets.push(scoring ? listScoredIds(db, scoring.id, filter.minScore ?? -Infinity, filter.maxScore ?? Infinity) : []);
  }
  const edited = filter.edited === undefined ? [] : files.flatMap(({ id }) => listEditedIds(db, id));
  if (filter.edited === true) sets.push(edited);
  const not = filter.edited === false ? new Set(edited) : null;

  const [fewest, ...others] = sets.sort((a, b) => a.length - b.length).map((ids) => new Set(ids));
  const passes = (id: number): boolean => others.every((ids) => ids.has(id)) && !not?.has(id);
  const found = files.map(({ id }) => {
    if (!fewest) return not ? listExampleIds(db, id).filter(passes) : listExampleIds(db, id);
    if (fewest.size > FEW) return listExampleIds(db, id).filter((row) => fewest.has(row) && passes(row));
    return listPositions(db, id, [...fewest].filter(passes)).sort((a, b) => a.position - b.position).map((row) => row.id);
  });
  const ids = new Float64Array(found.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of found) {
    ids.set(list, at);
    at += list.length;
  }
  return ids;
}

/** Ids of rows that the index has not seen, or saw before they were changed. */
export function rowsToIndex(db: Database, datasetId: number, index: SearchIndex): { changed: number[]; fresh: number[] } {
  const upTo = index.upTo();
  const fresh = listDatasetFiles(db, datasetId).flatMap(({ id }) => listExampleIdsAbove(db, id, upTo));
  return { changed: listUnindexedRows(db, datasetId), fresh: fresh.sort((a, b) => a - b) };
}

/** Brings the index up to date, some rows at a time; between two yields it can be left and gone on with another day. */
export function* indexRows(db: Database, datasetId: number, index: SearchIndex): Generator<{ done: number; total: number }, void, void> {
  settleUnindexedRows(db, datasetId, (changed) => index.add(read(db, changed), index.upTo()));
  const { fresh } = rowsToIndex(db, datasetId, index);
  // ids of an import under way may lie among those of rows that count: they are taken in when it is done, and what follows them once more
  const first = firstImportingId(db, datasetId) ?? Infinity;
  for (let at = 0; at < fresh.length; at += INDEXED_TOGETHER) {
    const ids = fresh.slice(at, at + INDEXED_TOGETHER);
    index.add(read(db, ids), Math.max(index.upTo(), Math.min(ids[ids.length - 1], first - 1)));
    yield { done: at + ids.length, total: fresh.length };
  }
}

const read = (db: Database, ids: number[]): { id: number; text: string }[] =>
  listBodies(db, ids).map(({ id, body }) => ({ id, text: textOf(JSON.parse(body) as Example) }));

/** Tools and calls are found by what stands in them, as JSON. */
function textOf(example: Example): string {
  const text = wordsOf(example);
  return 'tools' in example && example.tools ? `${text}\n${JSON.stringify(example.tools)}` : text;
}

function wordsOf(example: Example): string {
  switch (example.kind) {
    case 'instruction':
      return `${example.instruction}\n${example.input}\n${example.output}`;
    case 'conversation':
      return example.messages.map(messageText).join('\n');
    case 'completion':
      return `${example.prompt}\n${example.completion}`;
    case 'preference': {
      const prompt = typeof example.prompt === 'string' ? example.prompt : example.prompt.map(messageText).join('\n');
      return `${prompt}\n${answerText(example.chosen)}\n${answerText(example.rejected)}`;
    }
    case 'ranking': {
      const prompt = typeof example.prompt === 'string' ? example.prompt : example.prompt.map(messageText).join('\n');
      return [prompt, ...example.responses].join('\n');
    }
    case 'classification':
      return `${example.text}\n${example.label}`;
    case 'unpaired': {
      const prompt = typeof example.prompt === 'string' ? example.prompt : example.prompt.map(messageText).join('\n');
      return `${prompt}\n${answerText(example.completion)}`;
    }
    case 'text':
      return example.text;
  }
}

const searchFolder = (library: string): string => join(library, 'search');

/** The file of a dataset's index. Ids are used again, so when it was made is part of the name. */
export function searchIndexPath(library: string, { id, createdAt }: SearchedDataset): string {
  mkdirSync(searchFolder(library), { recursive: true });
  return join(searchFolder(library), `${id}-${createdAt.replaceAll(/\D/g, '')}.db`);
}

/** Indexes of datasets that are no more. What another process holds open stays until the next time. */
export function removeOtherIndexes(library: string, datasets: SearchedDataset[]): void {
  mkdirSync(searchFolder(library), { recursive: true });
  const keep = datasets.map((dataset) => searchIndexPath(library, dataset));
  for (const name of readdirSync(searchFolder(library))) {
    const path = join(searchFolder(library), name);
    if (!keep.some((kept) => path.startsWith(kept))) rmSync(path, { force: true, maxRetries: 0 });
  }
}
