/**
 * What the inspector has measured, kept as JSON beside the library: by the files it was measured from (names, sizes, times), so that an answer is
 * never older than its model. All of it can be measured again: the folder is free to be deleted.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelPath } from '../../shared/job.ts';
import type { Library } from '../library.ts';
import { stampOfFile } from '../models/stamps.ts';

/** Counts up when what is kept changes its meaning or its form. */
const FORM = 1;
const WEIGHTS = /^(config\.json|adapter_config\.json|.*\.safetensors(\.index\.json)?)$/;

/** Null: not measured yet, or the model is another since. */
export function readKept<T>(library: Library, what: 'numbers' | 'changes', models: ModelPath[]): T | null {
  try {
    return JSON.parse(readFileSync(fileOf(library, what, models), 'utf8')) as T;
  } catch {
    return null; // none, or one that is damaged: it is measured again
  }
}

/** Written beside and renamed in. */
export function keep(library: Library, what: 'numbers' | 'changes', models: ModelPath[], value: unknown): void {
  const file = fileOf(library, what, models);
  mkdirSync(folderOf(library), { recursive: true });
  const beside = `${file}.${randomUUID()}`;
  writeFileSync(beside, JSON.stringify(value));
  renameSync(beside, file);
}

const folderOf = ({ folder }: Library) => join(folder, 'inspections');

function fileOf(library: Library, what: string, models: ModelPath[]): string {
  const identity = models.map(({ folder, adapter }) => [stampOf(folder), adapter === undefined ? null : stampOf(adapter)]);
  const hash = createHash('sha256').update(JSON.stringify([FORM, identity])).digest('hex');
  return join(folderOf(library), `${what}-${hash.slice(0, 32)}.json`);
}

/** Of a model's files, or of the one GGUF file that is a model. */
function stampOf(folder: string): string[] {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found) return [folder];
  if (!found.isDirectory()) return [folder, stampOfFile(folder)];
  const files = readdirSync(folder).filter((name) => WEIGHTS.test(name) && name !== 'optimizer.safetensors').sort();
  return [folder, ...files.map((name) => `${name}:${stampOfFile(join(folder, name))}`)];
}
