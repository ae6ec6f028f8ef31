/** A task of the inspector as a view shows it: whoever started it, in whichever window. */
import type { Task } from '../../../shared/api/workbench.ts';
import { attempt } from '../../state/prompts.svelte.ts';
import { api, workbench } from '../../state/workbench.svelte.ts';

export class Measuring {
  readonly #kind: Task['kind'];
  readonly #subject: string;
  #failed = $derived.by(() => this.#tasks().findLast(({ state }) => state === 'failed') ?? null);
  /** While it runs. */
  task = $derived.by(() => this.#tasks().find(({ state }) => state === 'running') ?? null);
  /** Why the last one failed, when none runs. */
  error = $derived(this.task ? null : (this.#failed?.error ?? null));

  constructor(kind: 'weigh' | 'compare-weights', subject: string) {
    this.#kind = kind;
    this.#subject = subject;
  }

  /** The last one's failure is dismissed. */
  async start(begin: () => Promise<unknown>): Promise<void> {
    const failed = this.#failed;
    await attempt(async () => {
      if (failed) await api.tasks.dismiss({ id: failed.id });
      await begin();
    });
  }

  cancel(): void {
    const { task } = this;
    if (task) void attempt(() => api.tasks.cancel({ id: task.id }));
  }

  #tasks(): Task[] {
    return workbench.tasks.filter(({ kind, subject }) => kind === this.#kind && subject === this.#subject);
  }
}
