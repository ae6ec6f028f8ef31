/**
 * Tasks: what takes more than a moment (imports, exports, indexes, parity checks), with progress, time left and cancel. They live as long as
 * this process and outlive the window that asked. Training runs are not tasks: they have a queue of their own (runs/).
 */
import { EventPublisher } from '@orpc/server';
import type { Task } from '../shared/api/workbench.ts';

/** The list is told at most this often, ms. */
const PACE = 100;
/** Finished tasks kept on the list. */
const KEPT = 20;

/** Why tasks are ended that nobody cancelled: what they have may be kept. */
export const CLOSING = new Error('the workbench is closing');

export type TaskControl = {
  signal: AbortSignal;
  /** `done` of `total` units so far; `already`: of them, how many were done before the task began, and took it no time. */
  progress(done: number, total?: number | null, already?: number): void;
};

export type Tasks = {
  /** Starts the work and gives the task's id, and its end for those who wait. What `work` returns is the task's result in words. */
  start(about: Pick<Task, 'kind' | 'subject' | 'unit'>, work: (control: TaskControl) => Promise<string>): { id: number; finished: Promise<Task> };
  list(): Task[];
  watch(signal?: AbortSignal): AsyncGenerator<Task[], void, void>;
  cancel(id: number): void;
  dismiss(id: number): void;
  /** Cancels all and waits for their ends. */
  close(): Promise<void>;
};

export function createTasks(): Tasks {
  const publisher = new EventPublisher<{ list: Task[] }>({ maxBufferedEvents: 1 });
  const all = new Map<number, { task: Task; controller: AbortController; finished: Promise<Task> }>();
  let lastId = 0;
  let timer: NodeJS.Timeout | null = null;
  const list = (): Task[] => [...all.values()].map(({ task }) => ({ ...task }));
  const tell = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      publisher.publish('list', list());
    }, PACE);
  };

  function start(about: Pick<Task, 'kind' | 'subject' | 'unit'>, work: (control: TaskControl) => Promise<string>): { id: number; finished: Promise<Task> } {
    const task: Task = {
      id: ++lastId, ...about, state: 'running', done: 0, total: null, secondsLeft: null, error: null, result: null, startedAt: new Date().toISOString(),
    };
    const controller = new AbortController();
    const began = performance.now();
    const control: TaskControl = {
      signal: controller.signal,
      progress(done, total, already = 0) {
        task.done = done;
        if (total !== undefined) task.total = total;
        const seconds = (performance.now() - began) / 1000;
        const own = done - already;
        task.secondsLeft = task.total !== null && own > 0 && seconds > 0.5 ? (seconds * Math.max(0, task.total - done)) / own : null;
        tell();
      },
    };
    const finished = work(control)
      .then((result) => {
        task.state = 'done';
        task.result = result;
      })
      .catch((error: unknown) => {
        task.state = controller.signal.aborted ? 'cancelled' : 'failed';
        task.error = controller.signal.aborted ? null : (error as Error).message;
      })
      .then(() => {
        task.secondsLeft = null;
        const over = [...all.values()].filter(({ task }) => task.state !== 'running');
        for (const { task } of over.slice(0, Math.max(0, over.length - KEPT))) all.delete(task.id);
        tell();
        return { ...task };
      });
    all.set(task.id, { task, controller, finished });
    tell();
    return { id: task.id, finished };
  }

  return {
    start,
    list,
    async *watch(signal) {
      const lists = publisher.subscribe('list', { signal });
      yield list();
      yield* lists;
    },
    cancel: (id) => all.get(id)?.controller.abort(),
    dismiss(id) {
      if (all.get(id)?.task.state === 'running') return;
      all.delete(id);
      tell();
    },
    async close() {
      for (const { controller } of all.values()) controller.abort(CLOSING);
      await Promise.all([...all.values()].map(({ finished }) => finished));
      if (timer) clearTimeout(timer);
    },
  };
}
