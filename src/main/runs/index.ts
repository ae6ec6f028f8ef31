/**
 * Runs: made from a recipe, driven in an engine process, stored as they go, resumed after anything. One run's files lie in runs/<id>/:
 * recipe.yaml, the rows it trains on, and checkpoints/ which the engine writes. No tensor passes here.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import type { EngineEvent, TrainJob } from '../../shared/job.ts';
import type { Recipe } from '../../shared/recipe.ts';
import { type CheckpointRow, insertCheckpoint, listCheckpoints } from '../db/checkpoints.ts';
import { insertMetrics, listMetrics } from '../db/metrics.ts';
import { claimRun, deleteRun as deleteRunRow, getRun, getRunByName, insertRun, listRuns as listRunRows, type RunRow, updateRun } from '../db/runs.ts';
import { resolveDataset } from '../datasets/index.ts';
import { type Engine, startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { nameIsTaken, resolveModel } from '../models/index.ts';
import { OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';
import { writeSplit } from './split.ts';

export type { RunRow } from '../db/runs.ts';
export type Run = RunRow & { folder: string; checkpoints: CheckpointRow[] };

export type Machine = { device?: 'native' | 'reference'; threads?: number };

/** A run under way. Read `events` to its end: it is what drives the run and stores what happens. */
export type TrainingRun = {
  id: number;
  name: string;
  events: AsyncGenerator<EngineEvent, void, void>;
  pause(): void;
  resume(): void;
  /** Ends after the step under way, with a checkpoint of it. */
  stop(): void;
  /** At once; the run is interrupted and can be resumed from its last checkpoint. */
  kill(): void;
};

/** Stores a new run, its names resolved, ready to start. `from`: folders that relative paths in the recipe are looked for in, in order. */
export function createRun(library: Library, recipe: Recipe, from: string[] = [process.cwd()]): Run {
  const { db } = library;
  const model = resolveModel(library, recipe.model, from);
  const wanted = recipe.name ?? `${model.name}-${recipe.method}`;
  const resolved: Recipe = {
    ...recipe,
    model: model.kind === 'folder' ? (model.path.adapter ?? model.path.folder) : model.name,
    dataset: resolveDataset(library, recipe.dataset, from),
  };
  if (resolved.method === 'dpo' && resolved.referenceModel) {
    const reference = resolveModel(library, resolved.referenceModel, from);
    resolved.referenceModel = reference.kind === 'folder' ? (reference.path.adapter ?? reference.path.folder) : reference.name;
  }
  const id = db
    .transaction(() => {
      const name = uniqueName(library, wanted);
      return insertRun(db, {
        name,
        method: recipe.method,
        recipe: { ...resolved, name },
        model: model.path,
        parentCheckpointId: model.checkpoint?.id ?? null,
        seed: recipe.seed,
        owner: OWNER,
      });
    })
    .immediate();
  const run = openRun(library, getRun(db, id)!);
  mkdirSync(run.folder, { recursive: true });
  writeFileSync(join(run.folder, 'recipe.yaml'), stringify(run.recipe));
  return run;
}

/** A run by name or number. */
export function findRun(library: Library, nameOrId: string): Run {
  const row = getRunByName(library.db, nameOrId) ?? (/^\d+$/.test(nameOrId) ? getRun(library.db, Number(nameOrId)) : undefined);
  if (!row) throw new UserError(`${nameOrId}: no run of that name or number (attune runs lists them)`);
  return openRun(library, row);
}

export function listRuns(library: Library): Run[] {
  return listRunRows(library.db).map((row) => openRun(library, row));
}

export function readMetrics(library: Library, runId: number): ReturnType<typeof listMetrics> {
  return listMetrics(library.db, runId);
}

/** Starts a run just made by createRun. */
export function startRun(library: Library, run: Run, machine: Machine = {}): TrainingRun {
  return drive(library, run, machine);
}

/** Goes on with a run that was interrupted, stopped or failed, from its newest whole checkpoint. */
export function resumeRun(library: Library, run: Run, machine: Machine = {}): TrainingRun {
  if (!claimRun(library.db, run.id, OWNER)) {
    const { status, owner } = getRun(library.db, run.id) ?? run;
    if (status === 'finished') throw new UserError(`${run.name}: the run is finished; there is nothing to resume`);
    throw new UserError(`${run.name}: the run is ${status} in process ${owner?.split(':')[0]}`);
  }
  return drive(library, findRun(library, run.name), machine);
}

/** With its files. What was trained from it keeps its own weights, unless it is an adapter on this run's. */
export function deleteRun(library: Library, run: Run): void {
  if (run.status === 'queued' || run.status === 'running' || run.status === 'paused') throw new UserError(`${run.name}: the run is ${run.status}; stop it first`);
  const base = listRuns(library).find((other) => other.id !== run.id && other.model.folder.startsWith(join(run.folder, 'checkpoints')) && other.recipe.lora);
  if (base) throw new UserError(`${run.name}: run ${base.name} is an adapter on its weights; delete that one first`);
  deleteRunRow(library.db, run.id);
  rmSync(run.folder, { recursive: true, force: true });
}

function drive(library: Library, run: Run, { device = 'native', threads = 0 }: Machine): TrainingRun {
  const { db } = library;
  let engine: Engine | null = null;
  let stopped = false;
  let killed = false;

  async function* events(): AsyncGenerator<EngineEvent, void, void> {
    let settled = false;
    let reached: Extract<EngineEvent, { type: 'progress' }> | null = null;
    let stored = 0; // when, ms
    const storeReached = (): void => {
      if (reached) store(library, run.id, reached);
      reached = null;
      stored = Date.now();
    };
    try {
      const notes: string[] = [];
      const job = await prepare(library, run, { device, threads }, (text) => notes.push(text));
      for (const text of notes) yield { type: 'note', text };
      if (killed) return;
      engine = startEngine(job);
      if (stopped) engine.send({ type: 'stop' });
      for await (const event of engine.events) {
        // steps may be many a second: the one reached is stored once a second, and before anything else is
        if (event.type === 'progress') reached = event;
        if (event.type !== 'progress' || Date.now() - stored >= 1000) storeReached();
        if (event.type !== 'progress') store(library, run.id, event);
        settled = event.type === 'done';
        yield event;
      }
    } catch (error) {
      settled = true;
      storeReached();
      updateRun(db, run.id, killed
        ? { status: 'interrupted', owner: null }
        : { status: 'failed', owner: null, error: (error as Error).message, finishedAt: new Date().toISOString() });
      throw error;
    } finally {
      if (!settled) updateRun(db, run.id, { status: 'interrupted', owner: null });
    }
  }

  return {
    id: run.id,
    name: run.name,
    events: events(),
    pause: () => engine?.send({ type: 'pause' }),
    resume: () => engine?.send({ type: 'resume' }),
    stop() {
      stopped = true;
      engine?.send({ type: 'stop' });
    },
    kill() {
      killed = true;
      engine?.kill();
    },
  };
}

/** The job of a run: its rows are written once, and a resumed run trains on the very same bytes or not at all. */
async function prepare(library: Library, run: Run, machine: Required<Machine>, note: (text: string) => void): Promise<TrainJob> {
  const { db } = library;
  let train = join(run.folder, 'train.jsonl');
  let validation: string | null = run.validationSha256 ? join(run.folder, 'validation.jsonl') : null;
  if (run.trainSha256 === null) {
    let skipped = 0;
    const written = await writeSplit(library, run.recipe, run.folder, (problem) => {
      if (problem.severity === 'skipped' && ++skipped <= 3) note(`${problem.file}:${problem.line}: row left out: ${problem.reason}`);
    });
    if (skipped > 3) note(`${skipped} rows were left out in all; attune import tells each`);
    ({ train, validation } = written);
    updateRun(db, run.id, { trainSha256: written.trainSha256, validationSha256: written.validationSha256 });
  } else {
    await checkFile(train, run.trainSha256);
    if (validation) await checkFile(validation, run.validationSha256!);
  }
  const { recipe } = run;
  return {
    type: 'train',
    ...machine,
    folder: run.folder,
    recipe,
    model: run.model,
    reference: recipe.method === 'dpo' && recipe.referenceModel ? resolveModel(library, recipe.referenceModel).path : undefined,
    train,
    validation,
  };
}

async function checkFile(path: string, sha256: string): Promise<void> {
  if (!existsSync(path)) throw new Error(`${path}: the rows this run trains on are gone; start it anew with attune train`);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  if (hash.digest('hex') !== sha256) throw new Error(`${path}: the rows this run trains on were changed; start it anew with attune train`);
}

function store({ db }: Library, id: number, event: EngineEvent): void {
  const now = new Date().toISOString();
  switch (event.type) {
    case 'ready':
      updateRun(db, id, { status: 'running', device: event.device, engineVersion: event.engineVersion, startedAt: getRun(db, id)?.startedAt ?? now });
      break;
    case 'progress':
      updateRun(db, id, { step: event.step, totalSteps: event.totalSteps });
      break;
    case 'metrics':
      insertMetrics(db, id, { step: event.step, values: event.values });
      break;
    case 'checkpoint':
      insertCheckpoint(db, id, event);
      break;
    case 'paused':
      updateRun(db, id, { status: 'paused' });
      break;
    case 'resumed':
      updateRun(db, id, { status: 'running' });
      break;
    case 'done':
      updateRun(db, id, { status: event.stopped ? 'stopped' : 'finished', owner: null, peakMemoryBytes: event.peakMemoryBytes, finishedAt: now });
      break;
  }
}

function openRun(library: Library, row: RunRow): Run {
  return { ...row, folder: join(library.folder, 'runs', String(row.id)), checkpoints: listCheckpoints(library.db, row.id).filter(({ path }) => existsSync(path)) };
}

/** `wanted`, or wanted-2, wanted-3 … A name is also a model's name. */
function uniqueName(library: Library, wanted: string): string {
  const plain = basename(wanted).replace(/@/g, '-');
  for (let n = 1; ; n++) {
    const name = n === 1 ? plain : `${plain}-${n}`;
    if (!nameIsTaken(library, name)) return name;
  }
}
