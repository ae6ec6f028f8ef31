/**
 * The answers that an online run sampled, read from rollouts/ of its folder (src/shared/rollout-line.ts) a page at a time. A step's file never
 * changes once it is there: it is gone through once for where its lines lie and what they score, and after that only the lines of a page are read.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ANSWER_ORDERS, SampledAnswer, SampledPage } from '../../shared/api/runs.ts';
import { RolloutLine, rolloutFile } from '../../shared/rollout-line.ts';
import type { Library } from '../library.ts';
import { meanOf } from '../statistics.ts';
import { UserError } from '../user-error.ts';
import { getRunById } from './index.ts';

type Order = (typeof ANSWER_ORDERS)[number];
/** A line of the file: its place in bytes, and what orders it. */
type Entry = { at: number; bytes: number; group: number; score: number };
type StepIndex = { stamp: string; entries: Entry[]; /** mean score of each prompt's answers */ means: number[]; ordered: Map<Order, Entry[]> };

const Head = RolloutLine.pick({ row: true, sample: true, score: true });
const NEWLINE = 10;
/** Steps whose index is remembered, by file: turning pages and going back and forth asks for the same few. */
const indexes = new Map<string, StepIndex>();
const REMEMBERED = 4;

/** Ascending, from 1. None when nothing was sampled yet. */
export async function listSampledSteps(library: Library, runId: number): Promise<number[]> {
  const names = await readdir(join(getRunById(library, runId).folder, 'rollouts')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.flatMap((name) => /^step-(\d+)\.jsonl$/.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
}

/** Throws a UserError when the step's file is gone or is not one. */
export async function readSampledAnswers(library: Library, { id, step, order, offset, count }: { id: number; step: number; order: Order; offset: number; count: number }): Promise<SampledPage> {
  const path = join(getRunById(library, id).folder, rolloutFile(step));
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new UserError(`step ${step}: its answers are gone from the run's folder (${path}); choose another step`);
    throw error;
  });
  try {
    const index = await indexOf(path);
    const groups: SampledPage['groups'] = [];
    let last = -1;
    for (const { at, bytes, group } of inOrder(index, order).slice(offset, offset + count)) {
      const line = RolloutLine.parse(JSON.parse(await readText(file, at, bytes)));
      if (group !== last) groups.push({ row: line.row, prompt: line.prompt, answers: [] });
      groups.at(-1)!.answers.push(toAnswer(line));
      last = group;
    }
    return { prompts: index.means.length, answers: index.entries.length, groups };
  } finally {
    await file.close();
  }
}

async function indexOf(path: string): Promise<StepIndex> {
  const { size, mtimeMs } = await stat(path);
  const stamp = `${size} ${mtimeMs}`;
  const known = indexes.get(path);
  const index = known?.stamp === stamp ? known : await makeIndex(path, stamp);
  indexes.delete(path);
  indexes.set(path, index);
  if (indexes.size > REMEMBERED) indexes.delete(indexes.keys().next().value!);
  return index;
}

async function makeIndex(path: string, stamp: string): Promise<StepIndex> {
  const entries: Entry[] = [];
  const sums: { sum: number; count: number }[] = [];
  let previous = { row: -1, sample: -1 };
  for await (const { at, line } of readLines(path)) {
    const head = parseHead(path, entries.length + 1, line);
    // answers to one prompt follow each other; the same prompt may come twice in a step
    if (head.row !== previous.row || head.sample <= previous.sample) sums.push({ sum: 0, count: 0 });
    previous = head;
    const group = sums.length - 1;
    sums[group].sum += head.score;
    sums[group].count++;
    entries.push({ at, bytes: line.length, group, score: head.score });
  }
  return { stamp, entries, means: sums.map(({ sum, count }) => sum / count), ordered: new Map() };
}

function parseHead(path: string, number: number, line: Buffer): { row: number; sample: number; score: number } {
  try {
    return Head.parse(JSON.parse(String(line)));
  } catch {
    throw new UserError(`${path}, line ${number}: it is not an answer that a run has kept; choose another step`);
  }
}

async function* readLines(path: string): AsyncGenerator<{ at: number; line: Buffer }, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  let at = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const text = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE, from)) {
      yield { at: at + from, line: text.subarray(from, end) };
      from = end + 1;
    }
    at += from;
    rest = text.subarray(from);
  }
}

function inOrder({ entries, means, ordered }: StepIndex, order: Order): Entry[] {
  if (order === 'sampled') return entries;
  const known = ordered.get(order);
  if (known) return known;
  const sign = order === 'best' ? -1 : 1;
  const sorted = [...entries].sort((a, b) => sign * (means[a.group] - means[b.group]) || a.group - b.group || sign * (a.score - b.score));
  ordered.set(order, sorted);
  return sorted;
}

async function readText(file: FileHandle, at: number, bytes: number): Promise<string> {
  const { buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, at);
  return String(buffer);
}

function toAnswer({ sample, completion, finished, score, rewards, gold, kept, advantages, ids }: RolloutLine): SampledAnswer {
  return { sample, completion, finished, score, rewards, gold, kept, advantage: advantages && meanOf(advantages).value, tokens: ids.length };
}
