/** Waits for the end of a task that this window started. The task itself lives in main and goes on without anybody waiting. */
import type { Task } from '../../shared/api/workbench.ts';
import { workbench } from './workbench.svelte.ts';

/** The task as it ended; null when it left the list before it was seen to end. */
export function taskEnd(id: number): Promise<Task | null> {
  return new Promise((resolve) => {
    let seen = false;
    const stop = $effect.root(() => {
      $effect(() => {
        const task = workbench.tasks.find((task) => task.id === id);
        if (task) seen = true;
        if (task ? task.state === 'running' : !seen) return;
        resolve(task ?? null);
        queueMicrotask(stop);
      });
    });
  });
}
