/**
 * What a first start finds in its library: the embedded datasets, and a small run that is finished. Put in once; what a person deletes
 * afterwards stays deleted, and a library that somebody already works with is left as it is. Each piece goes in whole or not at all, so one
 * that was broken off is begun again.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { Changes } from '../changes.ts';
import { findDataset, importDataset } from '../datasets/index.ts';
import { insertCheckpoint } from '../db/checkpoints.ts';
import { listDatasets } from '../db/datasets.ts';
import { insertMetrics } from '../db/metrics.ts';
import { insertLog } from '../db/run-log.ts';
import { getRun, getRunByName, insertRun, listRuns, updateRun } from '../db/runs.ts';
import { insertSamples } from '../db/samples.ts';
import { getSetting, setSetting } from '../db/settings.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { RESOURCES } from '../paths.ts';
import { isAlive, OWNER } from '../process-identity.ts';
import { writeSplit } from '../runs/split.ts';
import { EMBEDDED_DATASETS, EXAMPLE_CHECKPOINT, EXAMPLE_FILE, ExampleRun } from './example-run.ts';

const KEY = 'quickstart.seed';
const FOLDER = join(RESOURCES, 'quickstart');

const Mark = z.strictObject({ state: z.enum(['seeding', 'done']), owner: z.string(), runId: z.int().nullable() });

/** The shipped run, while the library still has it. */
export function exampleRunId({ db }: Library): number | null {
  const runId = Mark.safeParse(getSetting(db, KEY)).data?.runId ?? null;
  return runId !== null && getRun(db, runId) ? runId : null;
}

/** Nothing when it was done before, or somebody else is at it. */
export async function seedLibrary(library: Library, changes: Changes, signal: AbortSignal): Promise<void> {
  const { db } = library;
  const isMine = db.transaction((): boolean => {
    const mark = Mark.safeParse(getSetting(db, KEY)).data;
    if (mark?.state === 'done' || (mark && mark.owner !== OWNER && isAlive(mark.owner))) return false;
    const isNew = mark !== undefined || (listRuns(db).length === 0 && listDatasets(db).length === 0);
    setSetting(db, KEY, { state: isNew ? 'seeding' : 'done', owner: OWNER, runId: null });
    return isNew;
  });
  if (!isMine.immediate()) return;

  for (const { name, split, file } of EMBEDDED_DATASETS) {
    if (findDataset(library, name)?.files.some((known) => known.split === split)) continue;
    await importDataset(library, { file: join(RESOURCES, 'datasets', file), name, split, signal });
    changes.tell('datasets');
  }
  const runId = await seedRun(library);
  setSetting(db, KEY, { state: 'done', owner: OWNER, runId });
  changes.tell('runs', 'models', 'quickstart');
}

/** The shipped run as if it had been trained here; its id, or null where the program came without it. */
async function seedRun(library: Library): Promise<number | null> {
  const { db } = library;
  if (!existsSync(join(FOLDER, EXAMPLE_FILE))) return null;
  const example = ExampleRun.parse(JSON.parse(readFileSync(join(FOLDER, EXAMPLE_FILE), 'utf8')));
  const { recipe } = example;
  const known = getRunByName(db, recipe.name!);
  if (known) return known.id;

  const beside = join(library.folder, 'runs', `.example-${process.pid}`);
  rmSync(beside, { recursive: true, force: true });
  const checkpoint = join('checkpoints', `step-${String(example.checkpoint.step).padStart(6, '0')}`);
  mkdirSync(join(beside, checkpoint), { recursive: true });
  cpSync(join(FOLDER, EXAMPLE_CHECKPOINT), join(beside, checkpoint), { recursive: true });
  writeFileSync(join(beside, 'recipe.yaml'), stringify(recipe));
  await writeSplit(library, recipe, beside, () => {}); // the very rows it was trained on
  const bytes = ['adapter_model.safetensors', 'adapter_config.json'].reduce((sum, name) => sum + statSync(join(beside, checkpoint, name)).size, 0);

  const insert = db.transaction((): number => {
    const model = resolveModel(library, recipe.model).path;
    const id = insertRun(db, { name: recipe.name!, method: recipe.method, recipe, model, parentCheckpointId: null, seed: recipe.seed, owner: null });
    const { trainSha256, validationSha256, device, engineVersion, steps, seconds, peakMemoryBytes, last, progress, parameters, trainableParameters, startedAt, finishedAt } = example;
    updateRun(db, id, {
      status: 'finished', trainSha256, validationSha256, device, engineVersion, step: steps, totalSteps: steps, seconds, peakMemoryBytes, last, progress,
      attempt: 1, parameters, trainableParameters, startedAt, finishedAt, // how fast this machine is, it does not say
    });
    insertMetrics(db, id, example.metrics.map((point) => ({ ...point, values: withNaN(point.values) })));
    for (const step of new Set(example.samples.map((sample) => sample.step))) insertSamples(db, id, step, example.samples.filter((sample) => sample.step === step));
    insertLog(db, id, `this run came with Attune: it was trained on ${device} in ${Math.round(seconds)} s`);
    const folder = join(library.folder, 'runs', String(id));
    insertCheckpoint(db, id, { ...example.checkpoint, path: join(folder, checkpoint), bytes });
    rmSync(folder, { recursive: true, force: true }); // of a start that was killed right here
    renameSync(beside, folder);
    return id;
  });
  return insert.immediate();
}

function withNaN(values: Record<string, number | null>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? NaN]));
}
