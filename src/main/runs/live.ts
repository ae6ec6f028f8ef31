/**
 * The queue of training runs of this process: one trains at a time, the others wait in order. It is the queue's memory that is lost when the
 * process ends, not the runs: those are in the library, and go on when resumed. What a run does is written down by drive.ts.
 */
import type { Recipe } from '../../shared/recipe.ts';
import type { Changes } from '../changes.ts';
import { insertLog } from '../db/run-log.ts';
import { updateRun } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { readSettings } from '../settings.ts';
import { UserError } from '../user-error.ts';
import { claim, createRun, getRunById, startRun, type TrainingRun } from './index.ts';
import type { LiveState } from './summaries.ts';
import { deleteRun, isActive, renameRun } from './upkeep.ts';

/** Of steps alone windows hear this often, ms: what they do about it is time that training does not have. */
const TELL_EVERY = 1500;
/** What a step under way may take when the workbench closes; after that its run is interrupted at its last checkpoint. ms */
const PATIENCE = 120_000;

export type RunQueue = {
  /** Stores a new run and queues it. `from`: folders that relative paths in the recipe are looked for in. */
  start(recipe: Recipe, from?: string[]): { id: number; name: string };
  pause(id: number): void;
  /** Goes on with a paused run; queues an interrupted, stopped or failed one from its newest checkpoint. */
  resume(id: number): void;
  stop(id: number): void;
  rename(id: number, name: string): void;
  /** With its files. */
  remove(id: number): Promise<void>;
  /** Queued runs, first first; those not named keep their order behind them. */
  reorder(ids: number[]): void;
  state(id: number): LiveState;
  /** Calls back whenever anything of a run has changed, its steps gathered (TELL_EVERY); returns how to end that. */
  onChange(listener: (id: number) => void): () => void;
  /** Resolves when the run is neither waiting nor under way here. */
  ended(id: number): Promise<void>;
  /** Stops the run under way, keeping what was learned, and waits for it. */
  close(): Promise<void>;
};

export function createRunQueue(library: Library, changes: Changes): RunQueue {
  const { db } = library;
  const listeners = new Set<(id: number) => void>();
  let waiting: number[] = [];
  let current: { id: number; training: TrainingRun; asked: LiveState['asked']; finished: Promise<void> } | null = null;
  let closed = false;

  /** `asked` and places in the queue are no rows of the library: everything that changes them says so here. */
  const tell = (...ids: number[]): void => {
    changes.tell('runs');
    for (const id of ids) for (const listener of listeners) listener(id);
  };

  function enqueue(id: number): void {
    if (closed) throw new UserError('the workbench is closing; start it again first');
    insertLog(db, id, current ? 'queued' : 'starting');
    waiting.push(id);
    tell(id);
    next();
  }

  function next(): void {
    if (current || closed) return;
    const id = waiting.shift();
    if (id === undefined) return;
    const training = startRun(library, getRunById(library, id), { device: readSettings(library).device });
    const finished = follow(id, training).finally(() => {
      current = null;
      changes.tell('models');
      tell(id, ...waiting);
      next();
    });
    current = { id, training, asked: null, finished };
    tell(id, ...waiting);
  }

  async function follow(id: number, training: TrainingRun): Promise<void> {
    let steps: NodeJS.Timeout | undefined;
    const tellSteps = (): void => {
      steps = undefined;
      tell(id);
    };
    try {
      for await (const event of training.events) {
        if (event.type === 'paused' || event.type === 'resumed') current!.asked = current!.asked === 'stop' ? 'stop' : null;
        if (event.type === 'checkpoint') changes.tell('models');
        if (event.type === 'progress' || event.type === 'metrics') steps ??= setTimeout(tellSteps, TELL_EVERY);
        else tell(id);
      }
    } catch {
      // the run's row and log say how it ended; the queue goes on
    } finally {
      clearTimeout(steps);
    }
  }

  /** For what only the process that has a run in hand can do with it. */
  function refuse(id: number, what: string): never {
    const { name, status, owner } = getRunById(library, id);
    if (isActive({ status }) && current?.id !== id && !waiting.includes(id)) {
      throw new UserError(`${name}: the run is ${status} in another process (${owner?.split(':')[0]}); ${what} it there`);
    }
    throw new UserError(`${name}: the run is ${status}; there is nothing to ${what}`);
  }

  return {
    start(recipe, from) {
      if (closed) throw new UserError('the workbench is closing; start it again first');
      const { id, name } = createRun(library, recipe, from);
      enqueue(id);
      return { id, name };
    },
    pause(id) {
      if (current?.id !== id) refuse(id, 'pause');
      if (current.asked === 'stop' || getRunById(library, id).status === 'paused') return;
      current.asked = 'pause';
      current.training.pause();
      tell(id);
    },
    resume(id) {
      if (current?.id === id) {
        if (current.asked === 'stop') throw new UserError(`${current.training.name}: the run is stopping; resume it when it has stopped`);
        current.asked = null;
        current.training.resume();
        tell(id);
      } else if (!waiting.includes(id)) {
        claim(library, getRunById(library, id));
        enqueue(id);
      }
    },
    stop(id) {
      if (current?.id === id) {
        current.asked = 'stop';
        current.training.stop();
      } else if (waiting.includes(id)) {
        waiting = waiting.filter((other) => other !== id);
        updateRun(db, id, { status: 'stopped', owner: null, finishedAt: new Date().toISOString() });
        insertLog(db, id, 'taken out of the queue');
      } else refuse(id, 'stop');
      tell(id, ...waiting);
    },
    rename(id, name) {
      renameRun(library, id, name);
      changes.tell('models');
      tell(id);
    },
    async remove(id) {
      await deleteRun(library, getRunById(library, id));
      changes.tell('models');
      tell(id);
    },
    reorder(ids) {
      const first = ids.filter((id) => waiting.includes(id));
      waiting = [...new Set([...first, ...waiting])];
      tell(...waiting);
    },
    state(id) {
      const place = waiting.indexOf(id);
      return { asked: current?.id === id ? current.asked : null, queuePosition: place < 0 ? null : place + 1 };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    ended: (id) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (current?.id === id || waiting.includes(id)) return;
          listeners.delete(check);
          resolve();
        };
        listeners.add(check);
        check();
      }),
    async close() {
      closed = true;
      for (const id of waiting) {
        updateRun(db, id, { status: 'interrupted', owner: null });
        insertLog(db, id, 'the workbench was closed before its turn');
      }
      waiting = [];
      if (!current) return;
      const { id, training, finished } = current;
      insertLog(db, id, 'stopping: the workbench is being closed');
      training.stop();
      const killer = setTimeout(() => training.kill(), PATIENCE);
      await finished;
      clearTimeout(killer);
    },
  };
}
