/**
 * The datasets' procedures as the window asks for them (router.ts): names resolved, long work as tasks, changes told.
 * No SQL and no rule of its own.
 */
import type { ColumnMapping, DatasetSummary, EditHistory, EditorRow, RowFilter } from '../../shared/api/datasets.ts';
import type { DatasetFormat, Example, RowProblem, Split } from '../../shared/dataset.ts';
import type { ShownExample } from '../../shared/job.ts';
import type { Judging } from '../../shared/judging.ts';
import type { Scoring } from '../../shared/scoring.ts';
import { listDatasetFiles } from '../db/datasets.ts';
import { getJudging } from '../db/judgings.ts';
import { listDatasetProblems } from '../db/row-problems.ts';
import { getScoring } from '../db/row-scores.ts';
import { listTags } from '../db/tags.ts';
import { judgeDataset } from '../judging/index.ts';
import { resolveModel } from '../models/index.ts';
import { scoreDataset } from '../scoring/index.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { editHistory, kindOf } from './editing.ts';
import { exportDataset } from './export.ts';
import { createDataset, type Dataset, deleteDataset, findDataset, getDataset, importDataset, listDatasets, renameDataset } from './index.ts';
import { readViewRows } from './live.ts';
import type { RenderSettings } from './renderers.ts';

const count = (rows: number): string => `${rows.toLocaleString('en-US')} row${rows === 1 ? '' : 's'}`;

export function summarizeDatasets({ library }: Workbench): DatasetSummary[] {
  return listDatasets(library).map((dataset) => summarize(dataset, listDatasetFiles(library.db, dataset.id), getJudging(library.db, dataset.id)?.judge ?? null));
}

function summarize(dataset: Dataset, all: ReturnType<typeof listDatasetFiles>, judge: string | null): DatasetSummary {
  const splits = { train: 0, validation: 0, test: 0 };
  for (const { split, rows } of all) splits[split] = rows;
  const sum = (of: (file: (typeof all)[number]) => number): number => all.reduce((total, file) => total + of(file), 0);
  return {
    name: dataset.name,
    kind: kindOf(dataset),
    rows: sum(({ rows }) => rows),
    splits,
    skipped: sum(({ skipped }) => skipped),
    warnings: sum(({ warnings }) => warnings),
    files: all
      // an empty split that the editor made is nothing to show; the first stays, since its format tells of which kind the rows are to be
      .filter(({ file, rows }, i) => file !== '' || rows > 0 || i === 0)
      .map(({ split, file, format, rows, skipped, warnings, createdAt: importedAt }) => ({ split, file, format, rows, skipped, warnings, importedAt })),
    edited: dataset.edits > 0 || (judge === null && all.every(({ file }) => file === '')),
    judge,
    createdAt: dataset.createdAt,
  };
}

export function importAsTask(
  { library, tasks, changes }: Workbench,
  { path, name, split, format, mapping }: { path: string; name: string; split: Split; format?: DatasetFormat; mapping?: ColumnMapping },
): { taskId: number } {
  const { id } = tasks.start({ kind: 'import', subject: name, unit: 'rows' }, async ({ progress, signal }) => {
    try {
      const { rows, skipped, warnings } = await importDataset(library, { file: path, name, split, format, mapping, signal, onProgress: progress });
      const leftOut = skipped > 0 ? `, ${skipped.toLocaleString('en-US')} left out` : '';
      return `${count(rows)}${leftOut}${warnings > 0 ? `, ${warnings.toLocaleString('en-US')} to look at` : ''}`;
    } finally {
      changes.tell('datasets');
    }
  });
  return { taskId: id };
}

export function exportAsTask(
  { library, tasks }: Workbench,
  { dataset: name, split, path }: { dataset: string; split?: Split; path: string },
): { taskId: number } {
  const dataset = getDataset(library, name);
  const { id } = tasks.start({ kind: 'export-dataset', subject: name, unit: 'rows' }, async ({ progress, signal }) => {
    return `${count(await exportDataset(library, { dataset, split, path, signal, onProgress: progress }))} in ${path}`;
  });
  return { taskId: id };
}

export function judgeAsTask(
  { library, tasks, changes }: Workbench,
  wanted: { dataset: string; model: string; rubric: string; name: string; split?: Split; limit?: number; sampleFrom?: string },
): { taskId: number } {
  getDataset(library, wanted.dataset);
  resolveModel(library, wanted.model);
  if (findDataset(library, wanted.name)) throw new UserError(`${wanted.name}: the library has a dataset of that name already: choose another`);
  const { id } = tasks.start({ kind: 'judge', subject: wanted.dataset, unit: 'pairs' }, async ({ progress, signal }) => {
    try {
      const { pairs } = await judgeDataset(library, { ...wanted, signal, onCount: progress });
      return `${pairs.toLocaleString('en-US')} pair${pairs === 1 ? '' : 's'}`;
    } finally {
      changes.tell('datasets');
    }
  });
  return { taskId: id };
}

export function scoreAsTask({ library, tasks, changes }: Workbench, wanted: { dataset: string; model: string; label?: string }): { taskId: number } {
  getDataset(library, wanted.dataset);
  resolveModel(library, wanted.model);
  const { id } = tasks.start({ kind: 'score', subject: wanted.dataset, unit: 'rows' }, async ({ progress, signal }) => {
    try {
      return count((await scoreDataset(library, { ...wanted, signal, onCount: progress })).rows);
    } finally {
      changes.tell('datasets');
    }
  });
  return { taskId: id };
}

export function scoring({ library }: Workbench, { dataset }: { dataset: string }): Scoring | null {
  return getScoring(library.db, getDataset(library, dataset).id)?.scoring ?? null;
}

export function judging({ library }: Workbench, { dataset }: { dataset: string }): Judging | null {
  return getJudging(library.db, getDataset(library, dataset).id);
}

export function listProblemsPage(
  { library }: Workbench,
  { dataset: name, from, count }: { dataset: string; from: number; count: number },
): { problems: (RowProblem & { split: Split })[]; total: number } {
  const { id } = getDataset(library, name);
  const total = listDatasetFiles(library.db, id).reduce((sum, { skipped, warnings }) => sum + skipped + warnings, 0);
  return { problems: listDatasetProblems(library.db, id, from, count), total };
}

export function createEmpty({ library, changes }: Workbench, { name, kind }: { name: string; kind: Example['kind'] }): void {
  createDataset(library, name, kind);
  changes.tell('datasets');
}

export function rename({ library, changes }: Workbench, { dataset, name }: { dataset: string; name: string }): void {
  renameDataset(library, dataset, name);
  changes.tell('datasets');
}

/** Returns as soon as it is out of sight; its rows go meanwhile. */
export async function remove({ library, datasets, changes }: Workbench, { dataset: name }: { dataset: string }): Promise<void> {
  const dataset = getDataset(library, name);
  await datasets.inTurn(dataset.id, async () => {
    await datasets.forget(dataset);
    datasets.afterwards(() => deleteDataset(library, name));
  });
  changes.tell('datasets');
}

export function tags({ library }: Workbench, { dataset }: { dataset: string }): { tag: string; rows: number }[] {
  return listTags(library.db, getDataset(library, dataset).id);
}

export async function openView(
  { library, datasets }: Workbench,
  { dataset: name, filter }: { dataset: string; filter: RowFilter },
): Promise<{ view: number; count: number; total: number; history: EditHistory }> {
  const { id, ids } = await datasets.openView(getDataset(library, name), filter);
  const dataset = getDataset(library, name); // as it is by now
  const total = dataset.files.reduce((sum, { rows }) => sum + rows, 0);
  return { view: id, count: ids.length, total, history: editHistory(library.db, dataset.id) };
}

export function rowsOfView(
  { library, datasets }: Workbench,
  { view, from, count }: { view: number; from: number; count: number },
): EditorRow[] {
  return readViewRows(library, datasets.view(view), from, count);
}

export function idsOfView({ datasets }: Workbench, { view, from, count }: { view: number; from: number; count: number }): number[] {
  return Array.from(datasets.view(view).ids.subarray(from, from + count));
}

export function locate({ datasets }: Workbench, { view, id }: { view: number; id: number }): number | null {
  const at = datasets.view(view).ids.indexOf(id);
  return at < 0 ? null : at;
}

export async function render(
  { library, datasets }: Workbench,
  { model, ...settings }: RenderSettings & { model: string },
): Promise<ShownExample[]> {
  if (model.trim() === '') throw new UserError('choose a model to render the row for');
  return datasets.renderers.render(resolveModel(library, model).path, settings);
}
