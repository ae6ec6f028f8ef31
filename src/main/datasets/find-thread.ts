/**
 * The thread that finds rows: answers row-finder.ts, which starts it. It has its own connection to the library, so that reading a million
 * rows, or taking them into a search index, never keeps main from answering. Between two slices of indexing it answers what came meanwhile.
 */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { RowFilter } from '../../shared/api/datasets.ts';
import { openDatabase } from '../db/database.ts';
import { openSearchIndex, type SearchIndex } from '../db/search-index.ts';
import { findRows, indexRows, rowsToIndex, searchIndexPath, type SearchedDataset } from './find-rows.ts';

export type Asked = { id: number } & (
  | { type: 'find'; dataset: SearchedDataset; filter: RowFilter }
  | { type: 'pending'; dataset: SearchedDataset }
  | { type: 'index'; dataset: SearchedDataset }
  | { type: 'cancel' }
  | { type: 'forget'; dataset: SearchedDataset }
);
export type Told = { id: number } & ({ progress: { done: number; total: number } } | { value: Float64Array | number | null } | { error: string });

const { library } = workerData as { library: string };
const db = openDatabase(join(library, 'library.db'));
const indexes = new Map<string, SearchIndex>();
const cancelled = new Set<number>();

parentPort!.on('message', (asked: Asked) => {
  if (asked.type === 'cancel') cancelled.add(asked.id);
  else answer(asked).then((value) => tell({ id: asked.id, value }), (error: Error) => tell({ id: asked.id, error: error.message }));
});

function tell(told: Told): void {
  parentPort!.postMessage(told, 'value' in told && told.value instanceof Float64Array ? [told.value.buffer as ArrayBuffer] : []);
}

async function answer(asked: Exclude<Asked, { type: 'cancel' }>): Promise<Float64Array | number | null> {
  const { dataset } = asked;
  switch (asked.type) {
    case 'find':
      return findRows(db, dataset.id, asked.filter, asked.filter.text === undefined ? null : indexOf(dataset));
    case 'pending': {
      const { changed, fresh } = rowsToIndex(db, dataset.id, indexOf(dataset));
      return changed.length + fresh.length;
    }
    case 'index':
      for (const progress of indexRows(db, dataset.id, indexOf(dataset))) {
        tell({ id: asked.id, progress });
        await new Promise(setImmediate);
        if (cancelled.delete(asked.id)) throw new Error('cancelled');
      }
      return null;
    case 'forget': {
      const path = searchIndexPath(library, dataset);
      indexes.get(path)?.close();
      indexes.delete(path);
      return null;
    }
  }
}

function indexOf(dataset: SearchedDataset): SearchIndex {
  const path = searchIndexPath(library, dataset);
  const index = indexes.get(path) ?? openSearchIndex(path);
  indexes.set(path, index);
  return index;
}
