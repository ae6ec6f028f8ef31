/**
 * Runs: made from a recipe, started, resumed after anything. One run's files lie in runs/<id>/:
 * recipe.yaml, the rows it trains on, and checkpoints/ which the engine writes. How one is driven is drive.ts; whose turn it is, live.ts.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { mapOtherModels, type Recipe } from '../../shared/recipe.ts';
import { type CheckpointRow, listCheckpoints } from '../db/checkpoints.ts';
import { listMetrics } from '../db/metrics.ts';
import { claimRun, getRun, getRunByName, insertRun, listRuns as listRunRows, type RunRow } from '../db/runs.ts';
import { resolveDataset } from '../datasets/index.ts';
import type { Library } from '../library.ts';
import { nameIsTaken, resolveModel } from '../models/index.ts';
import { OWNER } from '../process-identity.ts';
import { UserError } from '../user-error.ts';
import { drive, type Machine, type TrainingRun } from './drive.ts';

export type { RunRow } from '../db/runs.ts';
export type { Machine, TrainingRun } from './drive.ts';
export type Run = RunRow & { folder: string; checkpoints: CheckpointRow[] };

/** Stores a new run, its names resolved, ready to start. `from`: folders that relative paths in the recipe are looked for in, in order. */
export function createRun(library: Library, recipe: Recipe, from: string[] = [process.cwd()]): Run {
  const { db } = library;
  const model = resolveModel(library, recipe.model, from);
  const wanted = recipe.name ?? `${model.name}-${recipe.method}`;
  const lasting = ({ kind, path, name }: typeof model): string => (kind === 'folder' ? (path.adapter ?? path.folder) : name);
  const resolved: Recipe = {
    ...mapOtherModels(recipe, (name) => lasting(resolveModel(library, name, from))),
    model: lasting(model),
    dataset: resolveDataset(library, recipe.dataset, from),
  };
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

export function getRunById(library: Library, id: number): Run {
  const row = getRun(library.db, id);
  if (!row) throw new UserError(`run ${id}: it is not in the library any more`);
  return openRun(library, row);
}

export function listRuns(library: Library): Run[] {
  return listRunRows(library.db).map((row) => openRun(library, row));
}

export function readMetrics(library: Library, runId: number): ReturnType<typeof listMetrics> {
  return listMetrics(library.db, runId);
}

/** Starts a run just made by createRun, or claimed. */
export function startRun(library: Library, run: Run, machine: Machine = {}): TrainingRun {
  return drive(library, run, machine);
}

/** Goes on with a run that was interrupted, stopped or failed, from its newest whole checkpoint. */
export function resumeRun(library: Library, run: Run, machine: Machine = {}): TrainingRun {
  return drive(library, claim(library, run), machine);
}

/** Takes a run that nobody works on for this process, so that it can be started. */
export function claim(library: Library, run: Run): Run {
  if (!claimRun(library.db, run.id, OWNER)) {
    const { status, owner } = getRun(library.db, run.id) ?? run;
    if (status === 'finished') throw new UserError(`${run.name}: the run is finished; there is nothing to resume`);
    throw new UserError(`${run.name}: the run is ${status} in process ${owner?.split(':')[0]}`);
  }
  return getRunById(library, run.id);
}

/** A row with its folder and the checkpoints that are still there. */
export function openRun(library: Library, row: RunRow): Run {
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
