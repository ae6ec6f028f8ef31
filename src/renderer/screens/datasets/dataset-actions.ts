/** What can be done with a whole dataset, from the list and from its own screen: train, export, rename, delete. Each asks what it must and tells what came of it. */
import type { DatasetSummary } from '../../../shared/api/datasets.ts';
import type { Split } from '../../../shared/dataset.ts';
import type { MenuItem } from '../../components/Menu.svelte';
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import { askText, attempt, choosePath, confirm, notify } from '../../state/prompts.svelte.ts';
import { go, route } from '../../state/route.svelte.ts';
import { taskEnd } from '../../state/task-end.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';
import { splitTitle } from './names.ts';

export function datasetItems(dataset: DatasetSummary, { train }: { train: boolean }): MenuItem[] {
  const { name, splits, skipped, warnings } = dataset;
  const filled = (Object.keys(splits) as Split[]).filter((split) => splits[split] > 0);
  return [
    ...(train ? [{ label: m.datasets_train_with(), run: () => go('train', [], { dataset: name }) }] : []),
    ...(skipped + warnings > 0 ? [{ label: m.datasets_problems_show(), run: () => go('datasets', [name, 'problems']) }] : []),
    ...(dataset.judge !== null ? [{ label: m.judge_labels_by({ judge: dataset.judge }), run: () => go('datasets', [name, 'judging']) }] : []),
    { label: m.judge_open(), run: () => go('datasets', [name], { judge: '1' }), disabled: filled.length === 0 },
    { label: m.score_open(), run: () => go('datasets', [name], { score: '1' }), disabled: filled.length === 0 },
    { label: m.datasets_export(), run: () => void exportRows(name), disabled: filled.length === 0 },
    ...(filled.length > 1 ? filled.map((split) => ({ label: m.datasets_export_split({ split: splitTitle(split) }), run: () => void exportRows(name, split) })) : []),
    'separator',
    { label: m.datasets_rename(), run: () => void rename(name) },
    { label: m.datasets_delete(), run: () => void remove(dataset), danger: true },
  ];
}

export async function exportRows(name: string, split?: Split): Promise<void> {
  const path = await choosePath({ kind: 'save', title: m.datasets_export_title({ name }), defaultName: `${[name, split].filter(Boolean).join('-')}.jsonl` });
  if (path === null) return;
  const started = await attempt(() => api.datasets.export({ dataset: name, split, path }));
  if (!started) return;
  const task = await taskEnd(started.taskId);
  if (task?.state === 'done') notify('good', m.datasets_exported({ path }));
  if (task?.state === 'failed') notify('bad', task.error ?? '');
}

export async function rename(name: string): Promise<void> {
  const next = await askText({ title: m.datasets_rename_title({ name }), label: m.name(), value: name, action: m.rename() });
  if (next === null || next === name) return;
  const here = route.screen === 'datasets' && route.rest[0] === name;
  const done = await attempt(() => api.datasets.rename({ dataset: name, name: next }).then(() => true));
  if (done && here) go('datasets', [next, ...route.rest.slice(1)], Object.fromEntries(route.query));
}

export async function remove({ name, rows, files }: DatasetSummary): Promise<void> {
  const yes = await confirm({
    title: m.datasets_delete_title({ name }),
    text: m.datasets_delete_text({ rows: formatCount(rows) }),
    details: [m.datasets_delete_history(), files.some(({ file }) => file !== '') ? m.datasets_delete_files() : m.datasets_delete_made(), m.datasets_delete_runs()],
    action: m.delete(),
    danger: true,
  });
  if (!yes) return;
  const here = route.screen === 'datasets' && route.rest[0] === name;
  const done = await attempt(() => api.datasets.remove({ dataset: name }).then(() => true));
  if (done && here) go('datasets');
}
