/**
 * The quickstart as a project in the window: SFT on the embedded base, DPO on what came of it, then base, SFT and DPO answering the same
 * prompts side by side. Each stage is an ordinary run of the queue or ordinary sessions, to be watched, paused and kept; this only starts
 * one after the other and remembers how far it is. `attune quickstart` (index.ts) goes the same road by itself, with an evaluation.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { QuickstartState } from '../../shared/api/workbench.ts';
import type { Recipe } from '../../shared/recipe.ts';
import { Sampling } from '../../shared/sampling.ts';
import type { Changes } from '../changes.ts';
import { findDataset } from '../datasets/index.ts';
import { getRun } from '../db/runs.ts';
import { getSetting, setSetting } from '../db/settings.ts';
import type { Library } from '../library.ts';
import { RESOURCES } from '../paths.ts';
import type { Playground } from '../playground/live.ts';
import { readPrompts } from '../prompts.ts';
import type { RunQueue } from '../runs/live.ts';
import { readRecipe } from '../runs/recipe-file.ts';
import { exampleRunId, seedLibrary } from './seed.ts';

const KEY = 'quickstart';
const BASE = 'attune-base';
/** Held-out prompts asked in the comparison. */
const PROMPTS = 3;
/** The embedded runs are evaluated on the way, so that there is something to watch. */
const EVAL_STEPS = { sft: 40, dpo: 20 };
const DATASETS = { sft: 'instructions', dpo: 'preferences' };

const Stored = z.strictObject({
  stage: z.enum(['idle', 'sft', 'dpo', 'compare', 'done', 'failed']),
  sftRunId: z.int().nullable(),
  dpoRunId: z.int().nullable(),
  sessionId: z.int().nullable(),
  error: z.string().nullable(),
});
type Stored = z.infer<typeof Stored>;
const NEW: Stored = { stage: 'idle', sftRunId: null, dpoRunId: null, sessionId: null, error: null };

export type Quickstart = {
  state(): QuickstartState;
  /** From the beginning, or on from where it was stopped. */
  start(): QuickstartState;
  /** The run under way is stopped with a checkpoint, as any run is. */
  stop(): QuickstartState;
  /** Puts the examples into a new library, once. Never throws: a workbench without examples is a workbench. */
  seed(): Promise<void>;
  /** Resolves when nothing of it is under way. */
  ended(): Promise<void>;
  close(): Promise<void>;
};

export function createQuickstart({ library, changes, runs, playground }: { library: Library; changes: Changes; runs: RunQueue; playground: Playground }): Quickstart {
  const { db } = library;
  const closing = new AbortController();
  let underWay: { controller: AbortController; finished: Promise<void> } | null = null;
  let seeding: Promise<void> | null = null;

  const read = (): Stored => Stored.safeParse(getSetting(db, KEY)).data ?? NEW;
  const write = (changed: Partial<Stored>): void => {
    setSetting(db, KEY, { ...read(), ...changed });
    changes.tell('quickstart');
  };
  const state = (): QuickstartState => ({ ...read(), exampleRunId: exampleRunId(library) });

  // what a process that is gone was in the middle of
  if (['sft', 'dpo', 'compare'].includes(read().stage)) write({ stage: 'failed', error: 'Attune was closed before this was done: start again to go on from there' });

  async function go(signal: AbortSignal): Promise<void> {
    try {
      const sft = await train('sft', BASE, signal);
      const dpo = await train('dpo', sft, signal);
      await compare([BASE, sft, dpo], signal);
      write({ stage: 'done' });
    } catch (error) {
      if (closing.signal.aborted) return; // the next start says so
      write(signal.aborted ? { stage: 'idle', error: null } : { stage: 'failed', error: (error as Error).message });
    }
  }

  /** An ordinary run, new or gone on with; its name when it is finished. */
  async function train(stage: 'sft' | 'dpo', model: string, signal: AbortSignal): Promise<string> {
    const key = stage === 'sft' ? 'sftRunId' : 'dpoRunId';
    const before = read()[key];
    const known = before === null ? undefined : getRun(db, before);
    let id = known?.id;
    if (known?.status === 'interrupted' || known?.status === 'stopped') runs.resume(known.id);
    else if (!known || known.status === 'failed') id = runs.start(recipeOf(stage, model)).id;
    write({ stage, [key]: id });
    const stop = (): void => {
      if (!closing.signal.aborted) tryStop(id!);
    };
    signal.addEventListener('abort', stop);
    await runs.ended(id!);
    signal.removeEventListener('abort', stop);
    signal.throwIfAborted();
    const run = getRun(db, id!);
    if (!run) throw new Error(`the ${stage.toUpperCase()} run was deleted: start again`);
    if (run.status === 'finished') return run.name;
    throw new Error(`${run.name} is ${run.status}${run.error ? ` (${run.error})` : ''}: start again to go on`);
  }

  function tryStop(id: number): void {
    try {
      runs.stop(id);
    } catch {
      // it has just ended by itself
    }
  }

  /** A conversation a prompt: none of the three was trained to go on with one. The first is the one to be shown. */
  async function compare(models: string[], signal: AbortSignal): Promise<void> {
    const sampling = Sampling.parse({ temperature: 0, maxTokens: 64 });
    const prompts = readPrompts(join(RESOURCES, 'datasets', 'preferences.validation.jsonl')).slice(0, PROMPTS);
    for (const [i, { title }] of prompts.entries()) {
      const id = playground.create({ models, blind: false, sampling });
      if (i === 0) write({ stage: 'compare', sessionId: id });
      const stop = (): void => {
        if (!closing.signal.aborted) playground.stop(id);
      };
      signal.addEventListener('abort', stop);
      playground.send(id, title);
      await playground.ended(id);
      signal.removeEventListener('abort', stop);
      signal.throwIfAborted();
    }
  }

  /** The recipe of the command line, on the library's own data where it still is. */
  function recipeOf(stage: 'sft' | 'dpo', model: string): Recipe {
    const recipe = readRecipe(join(RESOURCES, 'recipes', `${stage}.yaml`));
    const name = DATASETS[stage];
    const dataset = findDataset(library, name)?.files.some(({ split }) => split === 'train') ? name : join(RESOURCES, '..', recipe.dataset);
    return { ...recipe, model, dataset, evalSteps: EVAL_STEPS[stage] };
  }

  return {
    state,
    start() {
      if (underWay) return state();
      if (read().stage === 'done') write(NEW);
      const stored = read();
      write({ stage: stored.dpoRunId === null ? 'sft' : 'dpo', error: null });
      const controller = new AbortController();
      const finished = Promise.resolve(seeding).then(() => go(controller.signal)).finally(() => {
        underWay = null;
        changes.tell('quickstart');
      });
      underWay = { controller, finished };
      return state();
    },
    stop() {
      underWay?.controller.abort(new Error('stopped'));
      return state();
    },
    seed() {
      seeding ??= seedLibrary(library, changes, closing.signal).catch((error: Error) => {
        if (!closing.signal.aborted) console.error(`the examples could not be put into the library: ${error.message}`);
      });
      return seeding;
    },
    async ended() {
      await underWay?.finished;
    },
    async close() {
      closing.abort();
      underWay?.controller.abort(new Error('closing'));
      await seeding;
    },
  };
}
