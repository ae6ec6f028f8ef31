/**
 * The rows of a dataset scored by a reward model or a classifier, and each row's score kept: what a filter by quality or by educational value goes by
 * (a classifier trained on a few hundred labels, as Phi did). Scoring is the engine's (jobs/score.ts), filtering the editor's (datasets/find-rows.ts).
 */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import type { EngineEvent } from '../../shared/job.ts';
import type { Scoring } from '../../shared/scoring.ts';
import { listExampleIds, listBodies } from '../db/examples.ts';
import { finishScoring, insertRowScores, insertScoring, purgeScorings } from '../db/row-scores.ts';
import { getDataset } from '../datasets/index.ts';
import { inSlices } from '../datasets/slices.ts';
import { startEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { readLabels } from '../models/facts.ts';
import { resolveModel } from '../models/index.ts';
import type { Machine } from '../runs/index.ts';
import { UserError } from '../user-error.ts';

/** Rows read, or written, at once. */
const TOGETHER = 500;
const BINS = 20;

export type ScoreOptions = {
  model: string;
  dataset: string;
  /** Of a classifier, the label whose probability is the score. */
  label?: string;
  /** Tokens a text may have; rows with a longer one get no score. */
  maxLength?: number;
  machine?: Machine;
  signal?: AbortSignal;
  onCount?: (done: number, total: number) => void;
};

export async function scoreDataset(library: Library, { model: modelName, dataset: name, label, maxLength = 1024, machine, signal, onCount = () => {} }: ScoreOptions): Promise<Scoring> {
  const { db } = library;
  const dataset = getDataset(library, name);
  const model = resolveModel(library, modelName);
  const at = await labelIndex(library, modelName, label);
  const ids = dataset.files.flatMap((file) => listExampleIds(db, file.id));
  if (ids.length === 0) throw new UserError(`${name}: it has no rows to score`);
  const scores = new Float64Array(ids.length).fill(Number.NaN);
  const sums = new Uint32Array(ids.length);
  const folder = await mkdtemp(join(tmpdir(), 'attune-'));
  try {
    const examples = join(folder, 'rows.jsonl');
    await pipeline(Readable.from(bodiesOf(library, ids, sums)), createWriteStream(examples));
    const { device = 'native', threads = 0 } = machine ?? {};
    let done = 0;
    await follow({ type: 'score', device, threads, model: model.path, template: model.template, examples, maxLength }, signal, (event) => {
      if (event.type !== 'scored') return;
      scores[event.index] = at === null ? event.scores[0] : probability(event.scores, at);
      if (++done % TOGETHER === 0) onCount(done, ids.length);
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return keep(library, dataset.id, { ids, scores, sums }, { model: model.name, label: at === null ? null : label!, signal });
}

/** Where the label stands among the classifier's; null for a reward model. */
async function labelIndex(library: Library, name: string, label: string | undefined): Promise<number | null> {
  const labels = await readLabels(library, resolveModel(library, name).path);
  if (!labels) throw new UserError(`${name}: this is a language model, which writes texts and scores none: name a reward model or a classifier`);
  if (labels.length === 1) {
    if (label !== undefined) throw new UserError(`${name}: a reward model gives one score and has no labels: leave the label out`);
    return null;
  }
  const index = label === undefined ? -1 : labels.indexOf(label);
  if (index < 0) throw new UserError(`${name}: ${label === undefined ? 'name the label whose probability is to be the score' : `it has no label ${JSON.stringify(label)}`}: it has ${labels.join(', ')}`);
  return index;
}

/** The rows as lines, in the order of their ids; `sums` gets what tells whether a row was changed meanwhile. */
function* bodiesOf({ db }: Library, ids: number[], sums: Uint32Array): Generator<string> {
  for (let start = 0; start < ids.length; start += TOGETHER) {
    const some = ids.slice(start, start + TOGETHER);
    const bodies = new Map(listBodies(db, some).map(({ id, body }) => [id, body]));
    for (const [i, id] of some.entries()) {
      const body = bodies.get(id) ?? '{"kind":"text","text":""}'; // deleted for good just now
      sums[start + i] = crc32(body);
      yield `${body}\n`;
    }
  }
}

async function follow(job: Parameters<typeof startEngine>[0], signal: AbortSignal | undefined, onEvent: (event: EngineEvent) => void): Promise<void> {
  signal?.throwIfAborted();
  const engine = startEngine(job);
  signal?.addEventListener('abort', engine.kill);
  try {
    for await (const event of engine.events) onEvent(event);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', engine.kill);
  }
}

/** Softmax of a row's first answer. */
function probability(scores: number[], label: number): number {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  return powers[label] / powers.reduce((a, b) => a + b, 0);
}

type Scored = { ids: number[]; scores: Float64Array; sums: Uint32Array };

/** Written some at a time, so that nobody waits for the database; nothing of it counts before the last. */
async function keep({ db }: Library, datasetId: number, { ids, scores, sums }: Scored, { model, label, signal }: { model: string; label: string | null; signal?: AbortSignal }): Promise<Scoring> {
  const scoring: Scoring = { model, label, rows: 0, leftOut: 0, low: Infinity, high: -Infinity, bins: new Array<number>(BINS).fill(0), at: new Date().toISOString() };
  const id = insertScoring(db, datasetId);
  const kept: number[] = [];
  let start = 0;
  await inSlices(db, () => {
    signal?.throwIfAborted();
    const some = ids.slice(start, start + TOGETHER);
    const sumOf = new Map(listBodies(db, some).map((row) => [row.id, crc32(row.body)]));
    const good = some.flatMap((rowId, i) => (Number.isNaN(scores[start + i]) || sumOf.get(rowId) !== sums[start + i] ? [] : [{ rowId, score: scores[start + i] }]));
    insertRowScores(db, id, good);
    for (const { score } of good) kept.push(score);
    start += TOGETHER;
    return start < ids.length;
  });
  if (kept.length === 0) throw new UserError(`${model}: every row is empty or too long for it: no score was kept`);
  for (const score of kept) [scoring.low, scoring.high] = [Math.min(scoring.low, score), Math.max(scoring.high, score)];
  if (label !== null) [scoring.low, scoring.high] = [0, 1];
  for (const score of kept) scoring.bins[Math.min(BINS - 1, Math.floor(((score - scoring.low) / (scoring.high - scoring.low || 1)) * BINS))]++;
  [scoring.rows, scoring.leftOut] = [kept.length, ids.length - kept.length];
  finishScoring(db, id, scoring);
  await inSlices(db, () => purgeScorings(db, datasetId, id, TOGETHER));
  return scoring;
}
