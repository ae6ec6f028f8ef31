/** The inspector's procedures as the window asks for them (router.ts): measuring as tasks, changes told. */
import { resolveModel } from '../models/index.ts';
import type { Workbench } from '../workbench.ts';
import { diff, weigh } from './index.ts';

type Context = Pick<Workbench, 'library' | 'tasks' | 'changes'>;
type Control = { signal: AbortSignal; onCount: (done: number, total: number) => void };

export function startWeighing(context: Context, model: string): { taskId: number } {
  resolveModel(context.library, model);
  return startTask(context, 'weigh', model, (control) => weigh(context.library, model, control));
}

export function startDiff(context: Context, model: string, other: string): { taskId: number } {
  for (const name of [model, other]) resolveModel(context.library, name);
  return startTask(context, 'compare-weights', `${model} · ${other}`, (control) => diff(context.library, model, other, control));
}

/** What another window has started already is joined. */
function startTask({ tasks, changes }: Context, kind: 'weigh' | 'compare-weights', subject: string, work: (control: Control) => Promise<unknown>): { taskId: number } {
  const running = tasks.list().find((task) => task.kind === kind && task.subject === subject && task.state === 'running');
  if (running) return { taskId: running.id };
  const { id } = tasks.start({ kind, subject, unit: 'tensors' }, async ({ progress, signal }) => {
    await work({ signal, onCount: progress });
    changes.tell('inspections');
    return '';
  });
  return { taskId: id };
}
