/** Where a model comes from, as far back as the library knows: its ancestors, the data they were trained on, and what the first of them says of itself. */
import type { About } from '../../shared/export-about.ts';
import { getRun, getRunByName, type RunRow } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { statedBy } from './stated.ts';

export type Origin = {
  /** The first ancestor first, the model itself left out; empty for one that was not trained here. */
  names: string[];
  /** Of all runs on the way, each once. */
  datasets: string[];
  /** Where the first of them lies, and what it says of itself. */
  base: string;
  stated: About;
};

/** @param folder of the model's weights, or of the base an adapter stands on */
export function originOf(library: Library, model: string, folder: string): Origin {
  const [names, datasets]: [string[], string[]] = [[], []];
  const seen = new Set<number>();
  for (let run = runOf(library, model); run && !seen.has(run.id); run = runOf(library, run.recipe.model)) {
    seen.add(run.id);
    names.unshift(run.recipe.model);
    if (!datasets.includes(run.recipe.dataset)) datasets.unshift(run.recipe.dataset);
  }
  const base = names.length === 0 ? folder : (folderOf(library, names[0]!) ?? folder);
  return { names, datasets, base, stated: statedBy(base) };
}

export function runOf(library: Library, model: string): RunRow | null {
  const row = getRunByName(library.db, model) ?? getRunByName(library.db, model.replace(/@\d+$/, ''));
  return row ? getRun(library.db, row.id)! : null;
}

/** Null: the model is not in the library any more. */
function folderOf(library: Library, model: string): string | null {
  try {
    return resolveModel(library, model).path.folder;
  } catch {
    return null;
  }
}
