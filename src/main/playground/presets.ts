/** Sampling settings, and what answers must be, kept by a name for a model, for the window and for `attune sample --preset`. A seed is no part of how one samples: it stays what it is. */
import type { Preset } from '../../shared/api/playground.ts';
import type { Changes } from '../changes.ts';
import { deletePreset, listPresets, putPreset } from '../db/sampling-presets.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';

export function presetsOf({ library }: { library: Library }, models: string[]): Preset[] {
  return listPresets(library.db, models);
}

/** For each of the models, in place of one of the same name. */
export function savePreset({ library, changes }: { library: Library; changes: Changes }, { models, sampling, ...preset }: Omit<Preset, 'model'> & { models: string[] }): void {
  for (const model of new Set(models)) putPreset(library.db, { ...preset, model, sampling: { ...sampling, seed: 0 } });
  changes.tell('playground');
}

export function removePreset({ library, changes }: { library: Library; changes: Changes }, { models, name }: { models: string[]; name: string }): void {
  for (const model of models) deletePreset(library.db, model, name);
  changes.tell('playground');
}

/** Throws with the names there are. */
export function findPreset(library: Library, model: string, name: string): Preset {
  const presets = listPresets(library.db, [model]);
  const found = presets.find((preset) => preset.name === name);
  if (found) return found;
  const names = presets.map((preset) => preset.name).join(', ');
  throw new UserError(`--preset ${name}: ${model} has no preset of this name${names === '' ? ': keep one with --save-preset' : `: it has ${names}`}`);
}
