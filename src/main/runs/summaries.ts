/** A run's row as the window shows it: its parent's name, its kept checkpoints, its place in the queue. Reads only. */
import type { Checkpoint, RunDetail, RunSummary } from '../../shared/api/runs.ts';
import { getCheckpoint } from '../db/checkpoints.ts';
import { getLastReport } from '../db/run-reports.ts';
import { getRun, interruptDeadRuns } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { listRuns, type Run } from './index.ts';

/** What only the process that has the run in hand knows of it (live.ts). */
export type LiveState = Pick<RunSummary, 'asked' | 'queuePosition'>;

/** Newest first. */
export function listRunSummaries(library: Library, live: (id: number) => LiveState): RunSummary[] {
  interruptDeadRuns(library.db); // another process may have been killed since the library was opened
  return listRuns(library).map((run) => summarize(library, run, live(run.id))).reverse();
}

export function summarize(library: Library, run: Run, live: LiveState): RunSummary {
  const { id, name, method, status, recipe, step, totalSteps, error, createdAt, startedAt, finishedAt, seconds, peakMemoryBytes } = run;
  const last = Object.entries(run.last).filter((entry): entry is [string, number] => entry[1] !== null);
  return {
    id, name, method, status, ...live, model: recipe.model, dataset: recipe.dataset, lora: recipe.lora !== null, parentRun: parentOf(library, run),
    step, totalSteps, last: Object.fromEntries(last), error, checkpointCount: run.checkpoints.length, createdAt, startedAt, finishedAt, seconds,
    peakMemoryBytes,
  };
}

export function detail(library: Library, run: Run, live: LiveState): RunDetail {
  const { recipe, folder, device, seed, trainSha256 } = run;
  const checkpoints = run.checkpoints.map(
    ({ step, path, sha256, best, bytes, createdAt }): Checkpoint => ({ name: `${run.name}@${step}`, step, path, sha256, best, bytes, createdAt }),
  );
  return { ...summarize(library, run, live), recipe, checkpoints, folder, device, seed, trainSha256, report: getLastReport(library.db, run.id) };
}

function parentOf({ db }: Library, { parentCheckpointId }: Run): string | null {
  const checkpoint = parentCheckpointId === null ? undefined : getCheckpoint(db, parentCheckpointId);
  return checkpoint ? (getRun(db, checkpoint.runId)?.name ?? null) : null;
}
