/** Runs renamed and deleted, and what a deletion would take away. Files and rows go here; nothing that trains is touched. */
import { readdir, rm, stat } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { stringify } from 'yaml';
import { mapOtherModels } from '../../shared/recipe.ts';
import { getCheckpoint } from '../db/checkpoints.ts';
import { deleteMetricsAfter } from '../db/metrics.ts';
import { listModels as listAddedModels } from '../db/models.ts';
import { deleteRun as deleteRunRow, listRuns as listRunRows, type RunRow, updateRun } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { nameIsTaken } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import { getRunById, listRuns, type Run } from './index.ts';

export type Footprint = { bytes: number; checkpoints: number; neededBy: string[]; descendants: string[] };

/** Rows deleted before others get a turn. */
const SLICE = 2000;

export async function measureFootprint(library: Library, id: number): Promise<Footprint> {
  const run = getRunById(library, id);
  return {
    bytes: await folderBytes(run.folder),
    checkpoints: run.checkpoints.length,
    neededBy: neededBy(library, run),
    descendants: descendants(library, run),
  };
}

/** With its files. What was trained from it keeps its own weights; what still needs this run's blocks. */
export async function deleteRun(library: Library, run: Run): Promise<void> {
  if (isActive(run)) throw new UserError(`${run.name}: the run is ${run.status}; stop it first`);
  const needed = neededBy(library, run);
  if (needed.length > 0) throw new UserError(`${run.name}: ${needed.join(', ')} ${needed.length === 1 ? 'needs' : 'need'} its weights; delete ${needed.length === 1 ? 'that' : 'those'} first`);
  while (deleteMetricsAfter(library.db, run.id, -1, SLICE) === SLICE) await setImmediate();
  deleteRunRow(library.db, run.id);
  await rm(run.folder, { recursive: true, force: true });
}

/** Its models are called by the new name from now on, in other runs' recipes too. */
export function renameRun(library: Library, id: number, name: string): void {
  const { db } = library;
  const run = getRunById(library, id);
  if (name === run.name) return;
  if (name.trim() !== name || /[@/\\]/.test(name)) throw new UserError(`${name}: a name has no @, no slash and no space at its ends; choose another`);
  db.transaction(() => {
    if (nameIsTaken(library, name)) throw new UserError(`${name}: the library has a model of that name already; choose another`);
    updateRun(db, id, { name, recipe: { ...run.recipe, name } });
    const renamed = (model: string): string => {
      const rest = model.startsWith(run.name) ? model.slice(run.name.length) : null;
      return rest === '' || (rest !== null && /^@\d+$/.test(rest)) ? name + rest : model;
    };
    for (const other of listRunRows(db)) {
      const recipe = mapOtherModels({ ...other.recipe, model: renamed(other.recipe.model) }, renamed);
      if (JSON.stringify(recipe) !== JSON.stringify(other.recipe)) updateRun(db, other.id, { recipe });
    }
  }).immediate();
  writeFileSync(join(run.folder, 'recipe.yaml'), stringify(getRunById(library, id).recipe));
}

/** Adapters on its weights, and runs that have still to begin from one of its checkpoints. */
function neededBy(library: Library, run: Run): string[] {
  const inside = (path: string | null | undefined): boolean => path?.startsWith(run.folder + sep) ?? false;
  const runs = listRuns(library).filter(({ id, model, recipe, status, checkpoints }) => {
    if (id === run.id) return false;
    if (recipe.lora && inside(model.folder)) return true;
    const begins = checkpoints.length === 0 && status !== 'failed' && status !== 'finished';
    return begins && (inside(model.folder) || inside(model.adapter));
  });
  const added = listAddedModels(library.db).filter(({ folder, adapter }) => inside(folder) || inside(adapter));
  return [...runs, ...added].map(({ name }) => name);
}

/** All that were trained from it, and from those. */
function descendants(library: Library, run: Run): string[] {
  const all = listRunRows(library.db);
  const found = new Set([run.id]);
  for (const { id, parentCheckpointId } of all) if (parentCheckpointId !== null && found.has(getCheckpoint(library.db, parentCheckpointId)!.runId)) found.add(id);
  return all.filter(({ id }) => id !== run.id && found.has(id)).map(({ name }) => name);
}

export function isActive({ status }: Pick<RunRow, 'status'>): boolean {
  return status === 'queued' || status === 'running' || status === 'paused';
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)).then(({ size }) => size, () => 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}
