/**
 * Rows of a dataset as a JSONL file, in order, as training reads them. Written beside and renamed in: a file of the name is whole, or the
 * old one.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Split } from '../../shared/dataset.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';
import { type Dataset, readRows } from './index.ts';

export type ExportOptions = {
  dataset: Dataset;
  split?: Split;
  path: string;
  signal?: AbortSignal;
  onProgress?: (rows: number, total: number) => void;
};

/** How many rows were written. */
export async function exportDataset(library: Library, { dataset, split, path, signal, onProgress }: ExportOptions): Promise<number> {
  const files = dataset.files.filter((file) => (split === undefined || file.split === split) && file.rows > 0);
  const total = files.reduce((sum, { rows }) => sum + rows, 0);
  if (total === 0) throw new UserError(`${dataset.name}: there is no row to export${split ? ` in its ${split} split` : ''}`);
  const target = resolve(path);
  const beside = `${target}.${process.pid}.part`;
  let rows = 0;
  async function* lines(): AsyncGenerator<string> {
    for (const { id } of files) {
      let page: string[] = [];
      for (const { json } of readRows(library, id)) {
        page.push(json);
        rows++;
        if (page.length < 100) continue;
        yield `${page.join('\n')}\n`;
        page = [];
        onProgress?.(rows, total);
        await new Promise(setImmediate);
      }
      if (page.length > 0) yield `${page.join('\n')}\n`;
    }
  }
  try {
    await mkdir(dirname(target), { recursive: true });
    await pipeline(Readable.from(lines()), createWriteStream(beside), { signal });
    await rename(beside, target);
  } catch (error) {
    await rm(beside, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('E')) throw new UserError(`${target}: cannot be written (${code}): choose another place`);
    throw error;
  }
  return rows;
}
