/**
 * The part of datasets that lives as long as the workbench: open views, the thread that fills them, engines that render rows, and whose turn
 * it is to edit. A view is the ordered ids of the rows that its filter let through when it was opened; nothing in it is lost with it.
 */
import type { EditorRow, RowFilter } from '../../shared/api/datasets.ts';
import type { Example } from '../../shared/dataset.ts';
import { listDatasetFiles, listDatasets } from '../db/datasets.ts';
import { listExamples } from '../db/examples.ts';
import { getScoring, listScoresOfRows } from '../db/row-scores.ts';
import { listTagsOfRows } from '../db/tags.ts';
import type { Library } from '../library.ts';
import type { Tasks } from '../tasks.ts';
import { UserError } from '../user-error.ts';
import { removeOtherIndexes } from './find-rows.ts';
import type { Dataset } from './index.ts';
import { createRenderers, type Renderers } from './renderers.ts';
import { createRowFinder } from './row-finder.ts';

/** Views open at once; the one not used for longest goes. */
const VIEWS = 16;
/** Rows that are taken into a search index without a task that says so: a moment's work. */
const UNTOLD = 5000;

export type View = { id: number; datasetId: number; ids: Float64Array };

export type LiveDatasets = {
  renderers: Renderers;
  openView(dataset: Dataset, filter: RowFilter): Promise<View>;
  /** Throws a UserError when it was closed, by hand or for lack of use. */
  view(id: number): View;
  closeView(id: number): void;
  /** Work on a dataset after all that was asked for before. */
  inTurn<T>(datasetId: number, work: () => Promise<T>): Promise<T>;
  /** Tidying that nobody waits for but the workbench's end. */
  afterwards(work: () => Promise<void>): void;
  /** Closes the dataset's views and its search index. */
  forget(dataset: Dataset): Promise<void>;
  close(): Promise<void>;
};

export function createLiveDatasets(library: Library, tasks: Tasks): LiveDatasets {
  const finder = createRowFinder(library.folder);
  const renderers = createRenderers();
  const views = new Map<number, View>(); // least recently used first
  const turns = new Map<number, Promise<unknown>>();
  const tidying = new Set<Promise<void>>();
  const indexing = new Map<number, Promise<void>>();
  let lastView = 0;

  /** Brings the search index up to date; those who ask meanwhile wait for the same work. */
  async function index(dataset: Dataset): Promise<void> {
    const pending = await finder.pending(dataset);
    if (pending <= UNTOLD) return finder.index(dataset, () => {});
    const { finished } = tasks.start({ kind: 'index', subject: dataset.name, unit: 'rows' }, async ({ progress, signal }) => {
      progress(0, pending);
      await finder.index(dataset, progress, signal);
      return `${pending.toLocaleString('en-US')} rows can be searched`;
    });
    const { state, error } = await finished;
    if (state === 'cancelled') throw new UserError('the search was cancelled: its index is not finished; searching again goes on with it');
    if (state === 'failed') throw new Error(`the search index could not be built: ${error}`);
  }

  removeOtherIndexes(library.folder, listDatasets(library.db));

  return {
    renderers,

    async openView(dataset, filter) {
      if (filter.text !== undefined && filter.text.trim() !== '') {
        const work = indexing.get(dataset.id) ?? index(dataset).finally(() => indexing.delete(dataset.id));
        indexing.set(dataset.id, work);
        await work;
      }
      const view = { id: ++lastView, datasetId: dataset.id, ids: await finder.find({ id: dataset.id, createdAt: dataset.createdAt }, filter) };
      views.set(view.id, view);
      const [oldest] = views.keys();
      if (views.size > VIEWS) views.delete(oldest);
      return view;
    },

    view(id) {
      const view = views.get(id);
      if (!view) throw new UserError('this view of the rows was closed: open it again');
      views.delete(id);
      views.set(id, view);
      return view;
    },

    closeView: (id) => void views.delete(id),

    inTurn(datasetId, work) {
      const turn = (turns.get(datasetId) ?? Promise.resolve()).then(work);
      const quiet = turn.catch(() => {});
      turns.set(datasetId, quiet);
      void quiet.then(() => turns.get(datasetId) === quiet && turns.delete(datasetId));
      return turn;
    },

    afterwards(work) {
      const done: Promise<void> = work().catch((error: Error) => console.error(error.stack)).then(() => void tidying.delete(done));
      tidying.add(done);
    },

    async forget(dataset) {
      for (const view of [...views.values()]) if (view.datasetId === dataset.id) views.delete(view.id);
      await finder.forget({ id: dataset.id, createdAt: dataset.createdAt });
    },

    async close() {
      await Promise.all([...turns.values()]);
      await Promise.all([...tidying, renderers.close(), finder.close()]);
      views.clear();
    },
  };
}

/** Rows of a view in its order; those that were deleted meanwhile are left out. */
export function readViewRows(library: Library, view: View, from: number, count: number): EditorRow[] {
  const ids = Array.from(view.ids.subarray(from, from + count));
  const splits = new Map(listDatasetFiles(library.db, view.datasetId).map((file) => [file.id, file.split]));
  const rows = new Map(listExamples(library.db, view.datasetId, ids).map((row) => [row.id, row]));
  const tags = new Map<number, string[]>();
  const scoring = getScoring(library.db, view.datasetId);
  const scores = new Map(scoring ? listScoresOfRows(library.db, scoring.id, ids).map(({ rowId, score }) => [rowId, score]) : []);
  for (const { rowId, tag } of listTagsOfRows(library.db, ids)) tags.set(rowId, [...(tags.get(rowId) ?? []), tag]);
  return ids.flatMap((id) => {
    const row = rows.get(id);
    const split = row && splits.get(row.fileId);
    if (!row || !split) return [];
    return { id, split, line: row.line, tags: tags.get(id) ?? [], edited: row.edits > 0, score: scores.get(id) ?? null, example: JSON.parse(row.body) as Example };
  });
}
