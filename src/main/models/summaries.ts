/**
 * Models as the window lists them: embedded ones, added folders, the result of every run and each of its kept checkpoints, exports; with the
 * facts of their folders and the model each was made from, which is the lineage. Names are those of index.ts.
 */
import { existsSync } from 'node:fs';
import type { ModelSummary } from '../../shared/api/models.ts';
import type { ModelPath } from '../../shared/job.ts';
import type { FolderFacts } from '../../shared/job-results.ts';
import type { Changes } from '../changes.ts';
import { getCheckpoint } from '../db/checkpoints.ts';
import { listExports } from '../db/exports.ts';
import { listModels as listAddedModels } from '../db/models.ts';
import { getRun, type RunRow } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';
import { addModel, exportName, findModelFolder, listModels, listRunCheckpoints, removeModel } from './index.ts';
import { readFacts } from './facts.ts';

/** What is known of a model without looking into its folder. */
type Entry = Pick<ModelSummary, 'name' | 'kind' | 'template' | 'method' | 'runId' | 'step' | 'best' | 'createdAt'> & {
  path: ModelPath;
  parent: string | null;
  problem: string | null;
};

export async function listModelSummaries(library: Library): Promise<ModelSummary[]> {
  const entries = listEntries(library);
  const facts = await readFacts(library, entries.flatMap(({ path }) => [path.folder, ...(path.adapter ? [path.adapter] : [])]));
  return entries.map((entry) => summarize(entry, facts));
}

/** Refuses what is no model, or a broken one, in the engine's own sentence. */
export async function addModelFolder(library: Library, changes: Changes, folder: string, name?: string): Promise<ModelSummary> {
  const path = findModelFolder(library, folder);
  const facts = await readFacts(library, [path.folder, ...(path.adapter ? [path.adapter] : [])]);
  const problem = [...facts.values()].find((found) => found.problem !== null)?.problem;
  if (problem) throw new UserError(problem);
  const model = addModel(library, folder, name);
  changes.tell('models');
  return (await listModelSummaries(library)).find((summary) => summary.name === model.name)!;
}

export function removeModelName(library: Library, changes: Changes, name: string): void {
  removeModel(library, name);
  changes.tell('models');
}

function listEntries(library: Library): Entry[] {
  const { db } = library;
  const added = new Map(listAddedModels(db).map((row) => [row.name, row]));
  const plain = { method: null, runId: null, step: null, best: false, createdAt: null, parent: null, problem: null };
  const entries: Entry[] = [];
  const runs = new Map<number, RunRow>();
  for (const model of listModels(library)) {
    const { name, path, template, checkpoint } = model;
    if (!checkpoint) {
      const kind = model.kind === 'embedded' ? 'embedded' : 'added';
      entries.push({ ...plain, name, kind, path, template, createdAt: added.get(name)?.createdAt ?? null });
      continue;
    }
    const run = getRun(db, checkpoint.runId)!;
    runs.set(run.id, run);
    const made = { ...plain, template, method: run.method, runId: run.id };
    entries.push({ ...made, name, kind: 'run', path, step: checkpoint.step, best: checkpoint.best, createdAt: checkpoint.createdAt });
    for (const { checkpoint: kept, ...other } of listRunCheckpoints(library, run)) {
      entries.push({ ...made, name: other.name, kind: 'checkpoint', path: other.path, step: kept.step, best: kept.best, createdAt: kept.createdAt });
    }
  }
  for (const row of listExports(db).reverse()) {
    const path = row.format === 'peft' ? { folder: row.source.path.folder, adapter: row.path } : { folder: row.path };
    const problem = !existsSync(row.path)
      ? `${row.path}: the export is gone; export ${row.model} again`
      : row.format === 'gguf' ? `a GGUF file is for other programs; train and talk to ${row.model}, which it was made from` : null;
    entries.push({ ...plain, name: exportName(row), kind: 'export', path, template: row.source.template, method: 'export', parent: row.model, createdAt: row.at, problem });
  }
  nameParents(library, entries, runs);
  return entries;
}

/** A run's parent is the checkpoint it started from, by the name it is listed under; else whatever has the folder it started from. */
function nameParents({ db }: Library, entries: Entry[], runs: Map<number, RunRow>): void {
  const names = new Set(entries.map(({ name }) => name));
  const key = ({ folder, adapter }: ModelPath): string => JSON.stringify([folder, adapter ?? null]);
  const byPath = new Map(entries.filter(({ kind }) => kind !== 'run' && kind !== 'checkpoint').map((entry) => [key(entry.path), entry.name]));
  const parents = new Map<number, string | null>();
  for (const run of runs.values()) {
    const checkpoint = run.parentCheckpointId === null ? undefined : getCheckpoint(db, run.parentCheckpointId);
    const from = checkpoint && getRun(db, checkpoint.runId)?.name;
    const exact = from && run.recipe.model.includes('@') ? `${from}@${checkpoint.step}` : from;
    // the recipe's own word last: the program, and with it the embedded base, may lie elsewhere by now
    const named = names.has(run.recipe.model) ? run.recipe.model : null;
    parents.set(run.id, (exact && names.has(exact) ? exact : from) ?? byPath.get(key(run.model)) ?? named);
  }
  for (const entry of entries) {
    if (entry.runId !== null) entry.parent = parents.get(entry.runId) ?? null;
    else if (entry.kind === 'added' && entry.path.adapter) entry.parent = byPath.get(key({ folder: entry.path.folder })) ?? null;
  }
}

function summarize({ path, problem, ...entry }: Entry, facts: Map<string, FolderFacts>): ModelSummary {
  const base = facts.get(path.folder)!;
  const adapter = path.adapter === undefined ? null : facts.get(path.adapter)!;
  const own = adapter ?? base;
  return {
    ...entry,
    form: adapter ? 'adapter' : 'full',
    family: base.family,
    parameters: base.parameters === null ? null : base.parameters + (adapter?.adapter?.parameters ?? 0),
    activeParameters: base.activeParameters === null ? null : base.activeParameters + (adapter?.adapter?.parameters ?? 0),
    adapterParameters: adapter?.adapter?.parameters ?? null,
    adapterRank: adapter?.adapter?.rank ?? null,
    bytes: own.bytes,
    dtype: own.dtype,
    contextLength: base.contextLength,
    vocabularySize: base.vocabularySize,
    layers: base.layers,
    hiddenSize: base.hiddenSize,
    folder: path.folder,
    adapter: path.adapter ?? null,
    hasChatTemplate: base.hasChatTemplate,
    templateProblems: base.templateProblems,
    labels: own.labels ?? base.labels ?? null,
    problem: problem ?? own.problem ?? base.problem,
  };
}

