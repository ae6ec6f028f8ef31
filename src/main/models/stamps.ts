/** What tells that files are still those that were looked at: their times and sizes. Nothing is read. */
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** '' where there is none. */
export function stampOfFile(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.mtimeMs}:${found.size}` : '';
}

/** Of these files of a model's folder, in their order; a GGUF file is a model by itself. */
export function stampsOf(folder: string, names: string[]): string[] {
  return (folder.endsWith('.gguf') ? [folder] : names.map((name) => join(folder, name))).map(stampOfFile);
}
