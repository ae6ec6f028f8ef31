/** Rows of a dataset or a file as a JSONL file for the engine to read, gone again afterwards. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { RowProblem, Split } from '../../shared/dataset.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';
import { findDataset, readFileRows, readRows, resolveDataset } from './index.ts';

/** Of a library dataset the first split of `splits` it has; of a file all rows; at most `limit`. */
export async function withExamplesFile<T>(
  library: Library,
  name: string,
  { splits, limit = Infinity, onProblem = () => {} }: { splits: Split[]; limit?: number; onProblem?: (problem: RowProblem) => void },
  use: (path: string) => Promise<T>,
): Promise<T> {
  const resolved = resolveDataset(library, name);
  const dataset = findDataset(library, resolved);
  const file = dataset && splits.map((split) => dataset.files.find((candidate) => candidate.split === split)).find((found) => found);
  if (dataset && !file) throw new UserError(`dataset ${name} has no ${splits.join(' or ')} split`);
  const rows = file ? readRows(library, file.id) : readFileRows(resolved, onProblem);

  let count = 0;
  async function* lines(): AsyncGenerator<string> {
    for await (const { json } of rows) {
      if (count++ >= limit) return;
      yield json;
    }
  }
  return withJsonl(lines(), (path) => {
    if (count === 0) throw new UserError(`${name}: no row could be read`);
    return use(path);
  });
}

/** Lines as a file, gone again afterwards. */
export async function withJsonl<T>(lines: Iterable<string> | AsyncIterable<string>, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-'));
  try {
    const path = join(folder, 'examples.jsonl');
    async function* ended(): AsyncGenerator<string> {
      for await (const line of lines) yield `${line}\n`;
    }
    await pipeline(Readable.from(ended()), createWriteStream(path));
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
