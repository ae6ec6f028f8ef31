/**
 * Drives one run in an engine process and writes down what happens: status, metrics, samples, checkpoints, log. Reading `events` to their
 * end is what drives it. Who may start it and when is not decided here (index.ts, live.ts).
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DeviceName } from '../../shared/devices.ts';
import type { CheckpointEvent, EngineEvent, TrainJob } from '../../shared/job.ts';
import { insertCheckpoint, listCheckpoints, markPruned } from '../db/checkpoints.ts';
import type { Database } from '../db/database.ts';
import { deleteMetricsAfter, insertMetrics } from '../db/metrics.ts';
import { insertLog } from '../db/run-log.ts';
import { getRun, type RunRow, updateRun } from '../db/runs.ts';
import { deleteSamplesAfter, insertSamples } from '../db/samples.ts';
import { deleteReportsAfter, insertReport } from '../db/run-reports.ts';
import { type Engine, EngineKilled, startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { pathsOfOthers } from '../models/index.ts';
import { writeSplit } from './split.ts';

export type Machine = { device?: DeviceName; threads?: number };

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

/** Steps may be a thousand a second: what they bring is written together, this often, ms. */
const PACE = 500;

export function drive(library: Library, run: RunRow & { folder: string }, { device = 'native', threads = 0 }: Machine): TrainingRun {
  const { db } = library;
  const recorder = createRecorder(db, run.id);
  let engine: Engine | null = null;
  let [paused, stopped, killed] = [false, false, false];

  async function* events(): AsyncGenerator<EngineEvent, void, void> {
    let settled = false;
    try {
      updateRun(db, run.id, { status: 'running', attempt: run.attempt + 1, error: null });
      const notes: string[] = [];
      const job = await prepare(library, run, { device, threads }, (text) => notes.push(text));
      for (const text of notes) {
        recorder.take({ type: 'note', text });
        yield { type: 'note', text };
      }
      if (killed) return;
      engine = startEngine(job);
      if (paused) engine.send({ type: 'pause' });
      if (stopped) engine.send({ type: 'stop' });
      for await (const event of engine.events) {
        recorder.take(event);
        if (event.type === 'checkpoint') engine.send({ type: 'kept', step: event.step });
        if (event.type === 'found') engine.send({ type: 'kept', step: event.checkpoint.step });
        settled = event.type === 'done';
        yield event;
      }
    } catch (error) {
      settled = true;
      recorder.flush();
      const { message } = error as Error;
      // what a signal ended (out of memory, a crash in a kernel, a person) goes on from its last checkpoint; what the engine refused would be refused again
      const interrupted = killed || error instanceof EngineKilled;
      updateRun(db, run.id, interrupted
        ? { status: 'interrupted', owner: null, error: killed ? null : message }
        : { status: 'failed', owner: null, error: message, finishedAt: new Date().toISOString() });
      insertLog(db, run.id, killed ? 'interrupted' : `${interrupted ? 'interrupted' : 'failed'}: ${message}`);
      throw error;
    } finally {
      recorder.flush();
      if (!settled) {
        updateRun(db, run.id, { status: 'interrupted', owner: null });
        insertLog(db, run.id, 'interrupted');
      }
    }
  }

  return {
    id: run.id,
    name: run.name,
    events: events(),
    pause() {
      paused = true;
      engine?.send({ type: 'pause' });
    },
    resume() {
      paused = false;
      engine?.send({ type: 'resume' });
    },
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

/** Writes events into the library: metrics and progress gathered, everything else at once and after them. */
function createRecorder(db: Database, id: number) {
  type Progress = Extract<EngineEvent, { type: 'progress' }>;
  let points: Parameters<typeof insertMetrics>[2] = [];
  let progress: Progress | null = null;
  const last = { ...getRun(db, id)?.last };
  let timer: NodeJS.Timeout | null = null;
  let failure: Error | null = null; // of a write that nobody waited for

  const write = (): void => {
    timer = null;
    if (points.length > 0) insertMetrics(db, id, points);
    for (const { values } of points) for (const [name, value] of Object.entries(values)) last[name] = Number.isFinite(value) ? value : null;
    if (points.length > 0) updateRun(db, id, { last });
    if (progress) {
      const { step, totalSteps, tokensPerSecond, secondsLeft, memoryBytes, flopsPerSecond } = progress;
      updateRun(db, id, {
        step, totalSteps, flopsPerSecond, seconds: progress.seconds,
        progress: { step, totalSteps, tokensPerSecond, secondsLeft, memoryBytes },
      });
    }
    points = [];
    progress = null;
  };
  const flush = (): void => {
    if (timer) clearTimeout(timer);
    write();
  };
  const gather = (): void => {
    timer ??= setTimeout(() => {
      try {
        write();
      } catch (error) {
        failure = error as Error;
      }
    }, PACE);
  };

  const take = (event: EngineEvent): void => {
    if (failure) throw failure;
    if (event.type === 'progress') {
      progress = event;
      gather();
    } else if (event.type === 'metrics') {
      points.push({ step: event.step, seconds: event.seconds, values: event.values });
      gather();
    } else if (event.type === 'found') {
      // written by an engine whose last words nobody heard, perhaps: what is known already stays as it is
      for (const told of event.told) take(told);
      flush();
      keepCheckpoint(db, id, event.checkpoint);
    } else {
      flush();
      if (event.type === 'start') {
        deleteMetricsAfter(db, id, event.step); // they come again
        deleteSamplesAfter(db, id, event.step);
        deleteReportsAfter(db, id, event.step);
      }
      store(db, id, event);
    }
  };
  return { flush, take };
}

function store(db: Database, id: number, event: EngineEvent): void {
  const now = new Date().toISOString();
  const log = (text: string): void => insertLog(db, id, text);
  switch (event.type) {
    case 'ready':
      updateRun(db, id, { device: event.device, engineVersion: event.engineVersion, startedAt: getRun(db, id)?.startedAt ?? now });
      return log(`started on ${event.device}`);
    case 'start': {
      const { step, totalSteps, parameters, trainableParameters } = event;
      return updateRun(db, id, { step, totalSteps, parameters, trainableParameters, progress: null });
    }
    case 'note':
      return log(event.text);
    case 'samples':
      return insertSamples(db, id, event.step, event.samples);
    case 'report':
      return insertReport(db, id, event.step, event.report);
    case 'checkpoint':
      keepCheckpoint(db, id, event);
      return log(`checkpoint written at step ${event.step}${event.best ? ', the best so far' : ''} (sha256 ${event.sha256.slice(0, 12)}…)`);
    case 'paused':
      updateRun(db, id, { status: 'paused' });
      return log('paused');
    case 'resumed':
      updateRun(db, id, { status: 'running' });
      return log('goes on');
    case 'done': {
      const { stopped, peakMemoryBytes } = event;
      updateRun(db, id, { status: stopped ? 'stopped' : 'finished', owner: null, peakMemoryBytes, finishedAt: now });
      return log(stopped ? `stopped at step ${getRun(db, id)?.step ?? 0}` : 'finished');
    }
  }
}

/** The run has come as far as this checkpoint; those that the engine has deleted since are marked. */
function keepCheckpoint(db: Database, id: number, checkpoint: Omit<CheckpointEvent, 'type'>): void {
  insertCheckpoint(db, id, { ...checkpoint, bytes: folderBytes(checkpoint.path) });
  for (const { id: other, path } of listCheckpoints(db, id)) if (!existsSync(path)) markPruned(db, other);
  updateRun(db, id, { step: checkpoint.step });
}

/** Of a folder of plain files; what an engine that is steps ahead deletes meanwhile counts nothing. */
function folderBytes(folder: string): number {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return 0; // gone
  }
  return names.reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** The job of a run: its rows are written once, and a resumed run trains on the very same bytes or not at all. */
async function prepare(library: Library, run: RunRow & { folder: string }, machine: Required<Machine>, note: (text: string) => void): Promise<TrainJob> {
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
    models: pathsOfOthers(library, recipe),
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
