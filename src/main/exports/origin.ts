/** Where a model comes from, as far back as the library knows: its ancestors, the data they were trained on, and the licence the first of them states. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { getRun, getRunByName, type RunRow } from '../db/runs.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';

export type Origin = {
  /** The first ancestor first, the model itself left out; empty for one that was not trained here. */
  names: string[];
  /** Of all runs on the way, each once. */
  datasets: string[];
  /** The base's, as its model card or licence file says; null: not stated. */
  license: string | null;
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
  return { names, datasets, license: licenseOf(names.length === 0 ? folder : (folderOf(library, names[0]!) ?? folder)) };
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

/** By the first words of their texts; the names are Hugging Face's. */
const TEXTS: [start: RegExp, name: string][] = [
  [/^\s*Apache License\s+Version 2\.0/, 'apache-2.0'], [/^\s*(The )?MIT License/i, 'mit'], [/^\s*LLAMA 2 COMMUNITY/i, 'llama2'], [/^\s*META LLAMA 3 COMMUNITY/i, 'llama3'],
  [/^\s*LLAMA 3\.1 COMMUNITY/i, 'llama3.1'], [/^\s*LLAMA 3\.2 COMMUNITY/i, 'llama3.2'], [/^\s*Gemma Terms of Use/i, 'gemma'],
];

function licenseOf(folder: string): string | null {
  const read = (name: string): string => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '');
  const [, front] = /^---\n([\s\S]*?)\n---/.exec(read('README.md').replaceAll('\r\n', '\n')) ?? [];
  const stated = front === undefined ? undefined : statedLicense(front);
  if (stated !== undefined) return stated;
  const text = ['LICENSE', 'LICENSE.txt', 'LICENSE.md'].map(read).find((found) => found !== '');
  if (text === undefined) return null;
  return TEXTS.find(([start]) => start.test(text))?.[1] ?? 'other';
}

/** Cards are written by hand: one that is no YAML states nothing. */
function statedLicense(front: string): string | undefined {
  try {
    const { license, license_name: name } = (parse(front) ?? {}) as { license?: unknown; license_name?: unknown };
    return license === 'other' && typeof name === 'string' ? name : typeof license === 'string' ? license : undefined;
  } catch {
    return undefined;
  }
}
