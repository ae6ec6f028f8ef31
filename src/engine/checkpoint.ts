/**
 * A run's checkpoints on disk: checkpoints/step-000123/ holds the model (or adapter), the optimiser, the state and the recipe, and a manifest of hashes.
 * Written beside and renamed in, so a folder of that name is always whole. Times never enter its hash: same run, same hash.
 * Not here: what a model folder or an adapter folder looks like (formats/), or when to write one (run.ts).
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ToldEvent } from '../shared/job.ts';
import type { Recipe } from '../shared/recipe.ts';
import type { Device } from './device/device.ts';
import { writeModelFolder } from './formats/model-folder.ts';
import { writeAdapter } from './formats/peft.ts';
import { openSafetensors, type TensorSource, writeSafetensors } from './formats/safetensors.ts';
import { explainWriteError, hashFile } from './formats/write-beside.ts';
import type { LanguageModel } from './model/language-model.ts';
import { readParameter } from './model/parameters.ts';
import type { ModelSource } from './open-model.ts';
import type { AdamW } from './optim/adamw.ts';

/** What a run must remember beside weights and moments. The data order is a function of (seed, step), so the step is the data cursor. */
export const RunState = z.strictObject({
  step: z.int().min(0),
  numTokens: z.number().min(0),
  best: z.strictObject({ step: z.int(), evalLoss: z.number() }).nullable(),
  /** of the method's own */
  carried: z.record(z.string(), z.number()).optional(),
  /** why the run ended with this step, before the end of its plan */
  ended: z.string().optional(),
});
export type RunState = z.infer<typeof RunState>;

/** What stands beside the run in its checkpoint, and outside its hash: seconds of training so far, and what was told since the last checkpoint that main is known to have. */
export type Told = { seconds: number; events: ToldEvent[] };

const Manifest = z.strictObject({ sha256: z.string(), files: z.record(z.string(), z.string()) });

export type CheckpointContent = {
  model: LanguageModel;
  adamw: AdamW;
  /** trained beside it */
  critic?: { model: LanguageModel; adamw: AdamW };
  state: RunState;
  told: Told;
  recipe: Recipe;
  /** folder whose tokenizer files go with the weights, and the config.json to write beside them */
  base: { folder: string } & ModelSource;
};

export async function writeCheckpoint(runFolder: string, content: CheckpointContent): Promise<{ path: string; sha256: string }> {
  const folder = join(runFolder, 'checkpoints');
  const path = join(folder, stepName(content.state.step));
  const temporary = join(folder, `.${stepName(content.state.step)}.writing`);
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true });
    const sha256 = await fillCheckpoint(temporary, content);
    await rm(path, { recursive: true, force: true });
    await rename(temporary, path);
    await syncPath(folder);
    return { path, sha256 };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw explainWriteError(error, path);
  }
}

/** Writes everything a checkpoint holds into an empty folder and flushes it; returns the checkpoint's hash. */
async function fillCheckpoint(temporary: string, { model, adamw, critic, state, told, recipe, base }: CheckpointContent): Promise<string> {
  if (recipe.lora) {
    const score = model.score && base.head ? { head: base.head, values: await readParameter(model.device, model.score) } : null;
    await writeAdapter(temporary, { lora: recipe.lora, baseWeights: recipe.lora.baseWeights, baseModel: base.folder, modules: model.adapterModules(), score });
  } else {
    const tensors: TensorSource[] = model.tensors({ merge: false }).map((tensor) => ({ ...tensor, dtype: 'F32' }));
    await writeModelFolder(temporary, {
      config: { ...base.config, dtype: 'float32', torch_dtype: 'float32' },
      generationConfig: base.generationConfig,
      tensors,
      copyFrom: base.folder,
    });
  }
  await writeSafetensors(join(temporary, 'optimizer.safetensors'), optimizerTensors(model.device, adamw));
  if (critic) {
    const weights = critic.model.parameters.map((parameter): TensorSource => (
      { name: parameter.name, shape: parameter.shape, dtype: 'F32', read: () => readParameter(model.device, parameter) }
    ));
    await writeSafetensors(join(temporary, 'critic.safetensors'), [...weights, ...optimizerTensors(model.device, critic.adamw)]);
  }
  await writeFile(join(temporary, 'state.json'), JSON.stringify(state, null, 2) + '\n');
  await writeFile(join(temporary, 'told.json'), JSON.stringify(told) + '\n');
  await writeFile(join(temporary, 'recipe.json'), JSON.stringify(recipe, null, 2) + '\n');

  // what the bytes depend on besides the run itself (where the base lies) stays out of the run's hash
  const files: Record<string, string> = {};
  for (const name of (await readdir(temporary)).sort()) files[name] = (await hashFile(join(temporary, name))).sha256;
  const identity = Object.entries(files).filter(([name]) => /^(model.*\.safetensors|adapter_model\.safetensors|optimizer\.safetensors|critic\.safetensors|state\.json)$/.test(name));
  const sha256 = createHash('sha256').update(JSON.stringify(identity)).digest('hex');
  await writeFile(join(temporary, 'manifest.json'), JSON.stringify({ sha256, files }, null, 2) + '\n');
  for (const name of await readdir(temporary)) await syncPath(join(temporary, name));
  await syncPath(temporary);
  return sha256;
}

/** The newest whole checkpoint of a run, or null. Clears what a killed process left half-written. */
export async function findCheckpoint(runFolder: string): Promise<{ path: string; state: RunState; told: Told; sha256: string } | null> {
  const folder = join(runFolder, 'checkpoints');
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  for (const name of names) if (name.startsWith('.')) await rm(join(folder, name), { recursive: true, force: true });
  const newest = names.filter((name) => /^step-\d+$/.test(name)).sort().at(-1);
  if (!newest) return null;
  const path = join(folder, newest);
  const manifest = Manifest.parse(JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8')));
  for (const [name, expected] of Object.entries(manifest.files)) {
    const found = (await hashFile(join(path, name))).sha256;
    if (found !== expected) {
      throw new Error(`${join(path, name)}: its sha256 is ${found.slice(0, 12)}…, the manifest says ${expected.slice(0, 12)}…: the checkpoint is damaged; delete that folder to resume from the one before it`);
    }
  }
  const state = RunState.parse(JSON.parse(await readFile(join(path, 'state.json'), 'utf8')));
  const told: Told = 'told.json' in manifest.files ? JSON.parse(await readFile(join(path, 'told.json'), 'utf8')) as Told : { seconds: 0, events: [] };
  return { path, state, told, sha256: manifest.sha256 };
}

/** Loads the optimiser's moments of a checkpoint back into `adamw`, at its step. */
export async function readOptimizer(path: string, device: Device, adamw: AdamW, step: number): Promise<void> {
  const file = await openSafetensors(join(path, 'optimizer.safetensors'));
  try {
    for (const { name, m, v } of adamw.moments) {
      device.write(m, await file.read(`${name}.exp_avg`));
      device.write(v, await file.read(`${name}.exp_avg_sq`));
    }
    adamw.steps = step;
  } finally {
    await file.close();
  }
}

/** Loads the second model's trained weights and its optimiser's moments back. The algorithm sets its step. */
export async function readCritic(path: string, device: Device, { model, adamw }: NonNullable<CheckpointContent['critic']>): Promise<void> {
  const file = await openSafetensors(join(path, 'critic.safetensors'));
  try {
    for (const { name, tensor } of model.parameters) device.write(tensor, await file.read(name));
    for (const { name, m, v } of adamw.moments) {
      device.write(m, await file.read(`${name}.exp_avg`));
      device.write(v, await file.read(`${name}.exp_avg_sq`));
    }
  } finally {
    await file.close();
  }
}

/** Deletes checkpoints beyond the newest `limit`, never the best. Renamed away first: a folder named step-… is always whole. */
export async function pruneCheckpoints(runFolder: string, limit: number, bestStep: number | null): Promise<void> {
  const folder = join(runFolder, 'checkpoints');
  const steps = (await readdir(folder)).filter((name) => /^step-\d+$/.test(name)).sort();
  for (const name of steps.slice(0, -limit)) {
    if (bestStep !== null && name === stepName(bestStep)) continue;
    const doomed = join(folder, `.${name}.deleting`);
    await rename(join(folder, name), doomed);
    await rm(doomed, { recursive: true, force: true });
  }
}

function stepName(step: number): string {
  return `step-${String(step).padStart(6, '0')}`;
}

function optimizerTensors(device: Device, adamw: AdamW): TensorSource[] {
  return adamw.moments.flatMap(({ name, shape, m, v }) => [
    { name: `${name}.exp_avg`, shape, dtype: 'F32' as const, read: () => device.read(m) as Promise<Float32Array> },
    { name: `${name}.exp_avg_sq`, shape, dtype: 'F32' as const, read: () => device.read(v) as Promise<Float32Array> },
  ]);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
