/**
 * Models by name: the embedded ones (resources/models), folders somebody added, and what runs made. Resolves a name or a folder to paths.
 * It reads no weights: whether a folder's tensors are right is the engine's to say.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Template } from '../../shared/dataset.ts';
import type { ModelPath } from '../../shared/job.ts';
import { mapOtherModels, type Recipe } from '../../shared/recipe.ts';
import { type CheckpointRow, listCheckpoints } from '../db/checkpoints.ts';
import { type ExportRow, listExports } from '../db/exports.ts';
import { deleteModel, getModelByName, insertModel, listModels as listAddedModels } from '../db/models.ts';
import { getRunByName, listRuns, type RunRow } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { RESOURCES } from '../paths.ts';
import { UserError } from '../user-error.ts';

const EMBEDDED = join(RESOURCES, 'models');

export type Model = {
  name: string;
  kind: 'embedded' | 'added' | 'run' | 'export' | 'folder';
  path: ModelPath;
  /** Set when it is a run's checkpoint. */
  checkpoint: CheckpointRow | null;
  /** The prompt format it was trained with, where a run says so; otherwise its own chat template. */
  template: Template;
};

/** Embedded ones first, then added ones, then results of runs in order. */
export function listModels(library: Library): Model[] {
  const added = listAddedModels(library.db).map((row) => named(row.name, 'added', modelPath(row.folder, row.adapter)));
  const results = listRuns(library.db).flatMap((run) => runModel(library, run, null) ?? []);
  return [...embeddedModels(), ...added, ...results];
}

/**
 * A library name, a run's name (its best checkpoint, or NAME@STEP for another one), a model folder, or a PEFT adapter folder.
 * `from`: folders that a relative path is looked for in, in order.
 */
export function resolveModel(library: Library, name: string, from: string[] = [process.cwd()]): Model {
  const known = findModel(library, name);
  if (known) return known;
  for (const base of from) {
    const folder = resolve(base, name);
    if (existsSync(folder)) return named(basename(folder), 'folder', folderPath(library, folder));
  }
  const names = listModels(library).map((model) => model.name);
  throw new UserError(
    `${name}: no model of that name in the library and no such folder; there is ${names.length ? names.join(', ') : 'no model yet'} (attune models add FOLDER adds one)`,
  );
}

/** Where the models lie that a recipe names besides its base, by the name it has for each. */
export function pathsOfOthers(library: Library, recipe: Recipe): Record<string, ModelPath> {
  const paths: Record<string, ModelPath> = {};
  mapOtherModels(recipe, (name) => {
    paths[name] = resolveModel(library, name).path;
    return name;
  });
  return paths;
}

/** Gives a folder a name in the library; the files stay where they are. */
export function addModel(library: Library, folder: string, name: string = basename(resolve(folder))): Model {
  const path = findModelFolder(library, folder);
  if (nameIsTaken(library, name)) throw new UserError(`${name}: the library has a model of that name already; choose another with --name`);
  insertModel(library.db, { name, folder: path.folder, adapter: path.adapter ?? null });
  return named(name, 'added', path);
}

/** What adding a folder would add: a model, or an adapter with its base. */
export function findModelFolder(library: Library, folder: string): ModelPath {
  if (!existsSync(folder)) throw new UserError(`${folder}: no such folder`);
  return folderPath(library, resolve(folder));
}

/** Takes an added model's name out of the library; the files stay. */
export function removeModel(library: Library, name: string): void {
  if (!deleteModel(library.db, name)) throw new UserError(`${name}: no added model of that name (attune models lists them)`);
}

export function nameIsTaken(library: Library, name: string): boolean {
  return embeddedModels().some((model) => model.name === name) || !!getModelByName(library.db, name) || !!getRunByName(library.db, name);
}

/** Every checkpoint of a run that is kept, as the models NAME@STEP. */
export function listRunCheckpoints(library: Library, run: RunRow): (Model & { checkpoint: CheckpointRow })[] {
  return wholeCheckpoints(library, run).map((checkpoint) => checkpointModel(run, checkpoint, `${run.name}@${checkpoint.step}`));
}

/** What an export is called as a model. No other name ends so; of several of one kind the number tells. */
export function exportName({ id, model, format, dtype }: ExportRow): string {
  return `${model} · ${format} ${dtype} #${id}`;
}

function findModel(library: Library, name: string): Model | null {
  const embedded = embeddedModels().find((model) => model.name === name);
  if (embedded) return embedded;
  const row = getModelByName(library.db, name);
  if (row) return named(name, 'added', modelPath(row.folder, row.adapter));
  const exported = listExports(library.db).find((each) => exportName(each) === name);
  if (exported) return exportedModel(name, exported);
  const [, runName, step] = /^(.*?)(?:@(\d+))?$/.exec(name)!;
  const run = getRunByName(library.db, name) ?? getRunByName(library.db, runName);
  if (!run) return null;
  const model = runModel(library, run, step === undefined || run.name === name ? null : Number(step));
  if (model) return model;
  const steps = wholeCheckpoints(library, run).map((checkpoint) => checkpoint.step);
  if (steps.length > 0) throw new UserError(`${name}: run ${run.name} keeps no checkpoint of step ${step}; it has ${steps.join(', ')}`);
  throw new UserError(`${name}: the run has no checkpoint yet (it is ${run.status}); attune resume ${run.name} goes on with it`);
}

/** The checkpoint of a step; without one the best, or the last where none was evaluated. */
function runModel(library: Library, run: RunRow, step: number | null): Model | null {
  const all = wholeCheckpoints(library, run);
  const checkpoint = step === null ? (all.find(({ best }) => best) ?? all.at(-1)) : all.find((candidate) => candidate.step === step);
  if (!checkpoint) return null;
  return checkpointModel(run, checkpoint, step === null ? run.name : `${run.name}@${step}`);
}

function checkpointModel(run: RunRow, checkpoint: CheckpointRow, name: string): Model & { checkpoint: CheckpointRow } {
  const path = run.recipe.lora ? { folder: run.model.folder, adapter: checkpoint.path } : { folder: checkpoint.path };
  return { name, kind: 'run', path, checkpoint, template: run.recipe.template };
}

function exportedModel(name: string, { source, path, format, model }: ExportRow): Model {
  if (format === 'gguf') throw new UserError(`${name}: a GGUF file is for other programs; name ${model}, which it was made from`);
  if (!existsSync(path)) throw new UserError(`${name}: its folder ${path} is gone; export ${model} again`);
  return { ...named(name, 'export', format === 'peft' ? { folder: source.path.folder, adapter: path } : { folder: path }), template: source.template };
}

function wholeCheckpoints(library: Library, run: RunRow): CheckpointRow[] {
  return listCheckpoints(library.db, run.id).filter(({ path }) => existsSync(path));
}

function embeddedModels(): Model[] {
  if (!existsSync(EMBEDDED)) return [];
  const folders = readdirSync(EMBEDDED).sort().map((name) => join(EMBEDDED, name));
  return folders.filter((folder) => existsSync(join(folder, 'config.json'))).map((folder) => named(basename(folder), 'embedded', { folder }));
}

function named(name: string, kind: Model['kind'], path: ModelPath): Model {
  return { name, kind, path, checkpoint: null, template: 'chat' };
}

function modelPath(folder: string, adapter: string | null): ModelPath {
  return adapter === null ? { folder } : { folder, adapter };
}

/** A folder on disk (a model, or one GGUF file in place of a folder), or an adapter whose base its adapter_config.json names (a folder, or a library name). */
function folderPath(library: Library, folder: string): ModelPath {
  if (!statSync(folder).isDirectory()) {
    if (folder.endsWith('.gguf')) return { folder };
    throw new UserError(`${folder}: a file; name the model's folder (config.json and model.safetensors are in it), or a GGUF file`);
  }
  if (existsSync(join(folder, 'config.json'))) return { folder };
  const file = join(folder, 'adapter_config.json');
  if (!existsSync(file)) throw new UserError(`${folder}: not a model: neither config.json nor adapter_config.json is in it`);
  let base: unknown;
  try {
    base = (JSON.parse(readFileSync(file, 'utf8')) as { base_model_name_or_path?: unknown }).base_model_name_or_path;
  } catch (error) {
    throw new UserError(`${file}: not JSON (${(error as Error).message})`);
  }
  if (typeof base !== 'string' || base === '') throw new UserError(`${file}: base_model_name_or_path is missing: write the base model's folder there`);
  const places = [resolve(dirname(file), base), resolve(base)];
  const found = findModel(library, base)?.path.folder ?? places.find((path) => existsSync(join(path, 'config.json')));
  if (!found) {
    const where = `${file}: base_model_name_or_path: ${base}`;
    throw new UserError(`${where} is neither a library name nor a model folder here: write the base model's folder there`);
  }
  return { folder: found, adapter: folder };
}
