/**
 * What can be done with a run, from its row, its page and the command palette alike. Main decides; what it refuses is shown as its
 * sentence.
 */
import type { Checkpoint, RunSummary } from '../../../shared/api/runs.ts';
import type { MenuItem } from '../../components/Menu.svelte';
import { formatBytes } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import { askText, attempt, confirm, notify } from '../../state/prompts.svelte.ts';
import { go } from '../../state/route.svelte.ts';
import { api } from '../../state/workbench.svelte.ts';

export const canPause = ({ status, asked }: RunSummary): boolean => status === 'running' && asked === null;
export const canResume = ({ status, asked }: RunSummary): boolean =>
  (status === 'paused' && asked !== 'stop') || status === 'interrupted' || status === 'stopped' || status === 'failed';
export const canStop = ({ status, asked }: RunSummary): boolean =>
  (status === 'running' || status === 'paused' || status === 'queued') && asked !== 'stop';
export const canDelete = ({ status }: RunSummary): boolean => status !== 'running' && status !== 'paused' && status !== 'queued';

export const pauseRun = (run: RunSummary): Promise<unknown> => attempt(() => api.runs.pause({ id: run.id }));
export const resumeRun = (run: RunSummary): Promise<unknown> => attempt(() => api.runs.resume({ id: run.id }));
export const stopRun = (run: RunSummary): Promise<unknown> => attempt(() => api.runs.stop({ id: run.id }));

export async function renameRun(run: RunSummary): Promise<void> {
  const name = await askText({ title: m.runs_rename_title(), label: m.name(), value: run.name, action: m.rename() });
  if (name && name !== run.name) await attempt(() => api.runs.rename({ id: run.id, name }));
}

/** Says what goes and what stays before it is gone. True when it was deleted. */
export async function deleteRun(run: RunSummary): Promise<boolean> {
  const footprint = await attempt(() => api.runs.footprint({ id: run.id }));
  if (!footprint) return false;
  const { bytes, checkpoints, neededBy, descendants } = footprint;
  if (neededBy.length > 0) {
    notify('bad', m.runs_delete_needed({ name: run.name, runs: neededBy.join(', ') }));
    return false;
  }
  const yes = await confirm({
    title: m.runs_delete_title({ name: run.name }),
    text: m.runs_delete_text(),
    details: [
      m.runs_delete_files({ checkpoints, size: formatBytes(bytes) }),
      m.runs_delete_records(),
      ...(descendants.length > 0 ? [m.runs_delete_descendants({ runs: descendants.join(', ') })] : []),
      m.runs_delete_stays(),
    ],
    action: m.delete(),
    danger: true,
  });
  if (!yes) return false;
  return (await attempt(() => api.runs.remove({ id: run.id }).then(() => true))) ?? false;
}

/** A conversation with these models, side by side when there are several. */
export async function talkTo(models: string[]): Promise<void> {
  const session = await attempt(() => api.playground.create({ models, blind: false }));
  if (session) go('playground', [session.id]);
}

export function branch(run: RunSummary, checkpoint: Pick<Checkpoint, 'name'>): void {
  go('train', [], { model: checkpoint.name, from: String(run.id) });
}

/** Of a checkpoint, or of the run's result. */
export function modelItems(run: RunSummary, model: string): MenuItem[] {
  return [
    { label: m.runs_chat(), run: () => void talkTo([model]) },
    { label: m.runs_compare(), run: () => void talkTo([run.model, model]) },
    { label: m.runs_export(), run: () => go('export', [], { model }) },
    { label: m.runs_branch(), run: () => branch(run, { name: model }) },
    { label: m.inspect(), run: () => go('library', [model], { inspect: 'overview' }) },
    { label: m.inspect_what_changed(), run: () => go('library', [model], { inspect: 'changes', against: run.model }) },
  ];
}

export function runItems(run: RunSummary, after: () => void = () => {}): MenuItem[] {
  return [
    { label: m.runs_pause(), run: () => void pauseRun(run), disabled: !canPause(run) },
    { label: m.runs_resume(), run: () => void resumeRun(run), disabled: !canResume(run) },
    { label: run.status === 'queued' ? m.runs_unqueue() : m.runs_stop(), run: () => void stopRun(run), disabled: !canStop(run) },
    'separator',
    ...modelItems(run, run.name).map((item) => (item === 'separator' ? item : { ...item, disabled: run.checkpointCount === 0 })),
    'separator',
    { label: m.runs_rename(), run: () => void renameRun(run) },
    {
      label: m.delete(),
      run: () => void deleteRun(run).then((gone) => {
        if (gone) after();
      }),
      danger: true,
      disabled: !canDelete(run),
    },
  ];
}
