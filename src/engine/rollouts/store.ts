/**
 * The answers of every step in the run's folder, rollouts/step-000012.jsonl: a line an answer, with its scores, for people to read and for the run
 * itself, which reads them where a resumed step learns from answers that an earlier policy gave. Written beside and renamed in.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RolloutLine, rolloutFile } from '../../shared/rollout-line.ts';
import type { Experience } from './rollout.ts';

/** What a method made of a step's answers, for people: a resumed run works it out again. */
export type RolloutNotes = {
  /** Which of them the model is trained on, where that is not all. */
  kept?: number[];
  /** Of each answer: one number, or one a token. */
  advantages?: ArrayLike<number>[];
};

export type RolloutStore = {
  read(step: number): Promise<Experience | null>;
  /** Scores alone. */
  readScores(step: number): Promise<Pick<Experience, 'scores' | 'gold'> | null>;
  write(step: number, experience: Experience, notes?: RolloutNotes): Promise<void>;
};

const Scores = RolloutLine.pick({ score: true, gold: true });

/** `promptText` of a row. Steps count from 0, file names from 1, as people count. */
export function createRolloutStore(runFolder: string, promptText: (row: number) => string): RolloutStore {
  const path = (step: number) => join(runFolder, rolloutFile(step + 1));
  const readLines = async <Line>(step: number, parse: (line: unknown) => Line): Promise<Line[] | null> => {
    const text = await readFile(path(step), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    return text === null ? null : text.trim().split('\n').map((line) => parse(JSON.parse(line)));
  };
  return {
    async read(step) {
      const lines = await readLines(step, (line) => RolloutLine.parse(line));
      if (lines === null) return null;
      const logprobs = (field: 'oldLogprobs' | 'refLogprobs') => (lines[0][field] ? lines.map((line) => Float32Array.from(line[field]!)) : null);
      const names = Object.keys(lines[0].rewards);
      return {
        rollouts: lines.map(({ row, sample, ids, completion, finished }) => ({ row, sample, ids: Int32Array.from(ids), text: completion, finished })),
        scores: Float64Array.from(lines, ({ score }) => score),
        rewards: Object.fromEntries(names.map((name) => [name, Float64Array.from(lines, ({ rewards }) => rewards[name])])),
        gold: goldOf(lines),
        oldLogprobs: logprobs('oldLogprobs'),
        refLogprobs: logprobs('refLogprobs'),
      };
    },
    async readScores(step) {
      const lines = await readLines(step, (line) => Scores.parse(line));
      return lines && { scores: Float64Array.from(lines, ({ score }) => score), gold: goldOf(lines) };
    },
    async write(step, { rollouts, scores, rewards, gold, oldLogprobs, refLogprobs }, { kept, advantages } = {}) {
      const isKept = kept && new Set(kept);
      const lines = rollouts.map(({ row, sample, ids, text, finished }, i): RolloutLine => ({
        row,
        sample,
        prompt: promptText(row),
        completion: text,
        finished,
        score: scores[i],
        rewards: Object.fromEntries(Object.entries(rewards).map(([name, values]) => [name, values[i]])),
        ...(gold && { gold: gold[i] }),
        ...(isKept && { kept: isKept.has(i) }),
        ...(advantages && { advantages: Array.from(advantages[i]) }),
        ids: Array.from(ids),
        ...(oldLogprobs && { oldLogprobs: Array.from(oldLogprobs[i]) }),
        ...(refLogprobs && { refLogprobs: Array.from(refLogprobs[i]) }),
      }));
      await mkdir(dirname(path(step)), { recursive: true });
      await writeFile(`${path(step)}.writing`, lines.map((line) => JSON.stringify(line)).join('\n') + '\n');
      await rename(`${path(step)}.writing`, path(step));
    },
  };
}

function goldOf(lines: Pick<RolloutLine, 'gold'>[]): Float64Array | null {
  return lines[0].gold === undefined ? null : Float64Array.from(lines, ({ gold }) => gold!);
}
