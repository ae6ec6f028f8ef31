/**
 * Writes the rows a run trains on and is evaluated on into its folder, as JSONL, in an order that never changes for the same data and seed.
 * A dataset with a validation split keeps it; otherwise evalRatio of the rows are held out, drawn with the recipe's seed. Of the others a recipe may
 * take one half.
 */
import { createHash, type Hash } from 'node:crypto';
import { createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { datasetKindOf, type Example, type RowProblem } from '../../shared/dataset.ts';
import { fitsMethod, type Recipe, ROWS_OF } from '../../shared/recipe.ts';
import { findDataset, readFileRows, readRows } from '../datasets/index.ts';
import type { Library } from '../library.ts';
import { UserError } from '../user-error.ts';

export type WrittenSplit = { train: string; trainSha256: string; validation: string | null; validationSha256: string | null };

export type Row = { kind: Example['kind']; json: string };
/** Rows read before others get a turn. */
const SLICE = 500;
/** Rows can be read twice: once to count, once to write. */
type Source = { train: () => AsyncIterable<Row> | Iterable<Row>; validation: (() => Iterable<Row>) | null };

/** `recipe.dataset` is a library name or an absolute file. Throws when a row is not of the kind its method trains on. */
export async function writeSplit(library: Library, recipe: Recipe, folder: string, onProblem: (problem: RowProblem) => void): Promise<WrittenSplit> {
  const source = findSource(library, recipe.dataset, onProblem);
  let count = 0;
  for await (const { kind } of inSlices(source.train())) {
    checkKind(recipe, kind);
    count++;
  }
  if (count === 0) throw new UserError(`${recipe.dataset}: no row to train on`);

  const heldOut = source.validation ? new Set<number>() : drawHeldOut(count, recipe.evalRatio, recipe.seed);
  const train = openJsonl(join(folder, 'train.jsonl'));
  const validation = source.validation || heldOut.size > 0 ? openJsonl(join(folder, 'validation.jsonl')) : null;
  const taken = takenRows(recipe);
  let [index, written] = [0, 0];
  for await (const { json } of inSlices(source.train())) {
    if (heldOut.has(index)) await validation!.write(json);
    else if (taken(index)) {
      await train.write(json);
      written++;
    }
    index++;
  }
  if (written === 0) throw new UserError(`${recipe.dataset}: no row to train on in the half that the recipe takes`);
  for await (const { kind, json } of inSlices(source.validation?.() ?? [])) {
    checkKind(recipe, kind);
    await validation!.write(json);
  }
  return {
    train: train.path,
    trainSha256: await train.end(),
    validation: validation?.path ?? null,
    validationSha256: validation ? await validation.end() : null,
  };
}

function findSource(library: Library, name: string, onProblem: (problem: RowProblem) => void): Source {
  const dataset = findDataset(library, name);
  if (dataset) {
    const [train, validation] = (['train', 'validation'] as const).map((split) => dataset.files.find((file) => file.split === split));
    if (!train) throw new UserError(`dataset ${name} has no train split: import one with attune import FILE --name ${name}`);
    return { train: () => readRows(library, train.id), validation: validation ? () => readRows(library, validation.id) : null };
  }
  if (!isAbsolute(name) || !existsSync(name)) throw new UserError(`${name}: the dataset this run trains on is gone`);
  let tell = onProblem; // of the two readings the first tells
  const train = () => {
    const told = tell;
    tell = () => {};
    return readFileRows(name, told);
  };
  return { train, validation: null };
}

/** Which training rows the recipe takes, by their number from 0. */
export function takenRows(recipe: Recipe): (row: number) => boolean {
  const half = recipe.method === 'reward' ? recipe.half : 'all';
  return half === 'all' ? () => true : (row) => (row % 2 === 0) === (half === 'even');
}

/** The same rows; the rest of the process gets its turns in between. */
export async function* inSlices<T>(rows: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T, void, void> {
  let count = 0;
  for await (const row of rows) {
    if (++count % SLICE === 0) await setImmediate();
    yield row;
  }
}

export function checkKind({ method, dataset }: Pick<Recipe, 'method' | 'dataset'>, kind: Example['kind']): void {
  if (fitsMethod(datasetKindOf(kind), method)) return;
  const wanted = WANTED[ROWS_OF[method]];
  throw new UserError(`dataset ${dataset}: it has ${kind} rows, and ${method} trains on ${wanted}: choose another dataset or method`);
}

const WANTED: Record<(typeof ROWS_OF)[Recipe['method']], string> = {
  texts: 'texts with answers in them',
  pairs: 'preference pairs (prompt, chosen, rejected)',
  prompts: 'rows that have a prompt',
  rankings: 'preference pairs or rankings (prompt, responses best first)',
  labels: 'labelled texts (text, label)',
  unpaired: 'answers with a label (prompt, completion, label) or preference pairs',
};

/**
 * ratio · count row numbers, at least one where there are two rows or more and ratio > 0: a partial Fisher–Yates shuffle driven by mulberry32.
 */
export function drawHeldOut(count: number, ratio: number, seed: number): Set<number> {
  const wanted = ratio > 0 && count > 1 ? Math.max(1, Math.floor(count * ratio)) : 0;
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < wanted; i++) {
    const j = i + Math.floor(random() * (count - i));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return new Set(order.subarray(0, wanted));
}

function openJsonl(path: string): { path: string; write(line: string): Promise<void>; end(): Promise<string> } {
  const stream: WriteStream = createWriteStream(path);
  const hash: Hash = createHash('sha256');
  let failure: Error | null = null;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    failure = new Error(`${path}: cannot be written (${error.code}); the disk may be full`, { cause: error });
  });
  return {
    path,
    async write(line) {
      if (failure) throw failure;
      const bytes = `${line}\n`;
      hash.update(bytes);
      if (stream.write(bytes)) return;
      await new Promise<void>((resolve) => {
        const goOn = (): void => {
          stream.off('drain', goOn).off('close', goOn); // 'close': after an error no drain comes
          resolve();
        };
        stream.on('drain', goOn).on('close', goOn);
      });
    },
    async end() {
      await new Promise<void>((done) => {
        stream.once('close', () => done());
        stream.end();
      });
      if (failure) throw failure;
      return hash.digest('hex');
    },
  };
}
