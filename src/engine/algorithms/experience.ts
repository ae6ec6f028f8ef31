/**
 * Answers of a step, sampled, scored and with the log-probs that the losses of GRPO and RLOO are taken against; and the metrics of answers and
 * rewards under TRL's names. Not the advantages: those are each method's own, which hands them over to be kept.
 */
import type { RowLengths } from '../../shared/job.ts';
import { packAnswers } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import type { Batch } from '../data/batch.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { Experience, Judged, Rollout } from '../rollouts/rollout.ts';
import type { RolloutNotes, RolloutStore } from '../rollouts/store.ts';
import type { Training } from './training.ts';

/** The frozen reference: a model of its own, or the policy without its adapter. */
export type Reference = { model: LanguageModel; adapter: boolean };

export type OnlineData = {
  /** (rows) of token ids */
  prompts: Int32Array[];
  /** one batch of prompt rows a step; steps on the same answers follow each other with the same rows */
  steps: StepPlan[];
  /** answers to one prompt */
  numGenerations: number;
  /** answers of one micro-batch */
  batchSize: number;
  /** samples and scores the answers of a step */
  judge(step: number, rows: Int32Array): Promise<Judged>;
  reference: Reference | null;
  store: RolloutStore;
  /** told of each new batch of answers: why the run ends with it, or undefined */
  watch(judged: Judged): string | undefined;
  /** held-out prompts answered and scored, under `eval_…` */
  evaluate: (() => Promise<Record<string, number>>) | null;
  evalSteps: number;
};

/** `store` writes the answers down with what the method made of them; once, and only new ones. To be called before the first step on them. */
export type Gathered = { experience: Experience; store(notes: RolloutNotes): Promise<void> };

/**
 * The answers that step `step` learns from, sampled at step `first`. Where they were kept (the run was resumed among the steps on them, or killed
 * before its checkpoint) they are read: the policy that gave them may be gone.
 */
export async function gatherExperience({ model }: Training, data: OnlineData, step: number, first: number, keepOld: boolean): Promise<Gathered> {
  const kept = await data.store.read(first);
  if (kept) return { experience: kept, store: async () => {} };
  if (step !== first) throw new Error(`step ${step + 1}: the answers sampled at step ${first + 1} are gone from the run's folder (rollouts/): start the run anew`);
  const judged = await data.judge(first, data.steps[first][0]);
  const experience: Experience = {
    ...judged,
    oldLogprobs: keepOld ? await logprobsOf({ model, adapter: true }, judged.rollouts, data) : null,
    refLogprobs: data.reference ? await logprobsOf(data.reference, judged.rollouts, data) : null,
  };
  let stored = false;
  return {
    experience,
    async store(notes) {
      if (!stored) await data.store.write(first, experience, notes);
      stored = true;
    },
  };
}

async function logprobsOf({ model, adapter }: Reference, rollouts: Rollout[], data: OnlineData): Promise<Float32Array[]> {
  const result: Float32Array[] = [];
  for (const answers of microBatches(rollouts, data.batchSize)) {
    const { logprobs } = await model.forward(packRollouts(answers, data.prompts), { adapter });
    let at = 0;
    for (const { ids } of answers) result.push(logprobs.slice(at, (at += ids.length)));
  }
  return result;
}

export function microBatches<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Answers to one prompt that stand side by side share it. */
export function packRollouts(rollouts: Rollout[], prompts: Int32Array[]): Batch {
  const groups: { row: number; prompt: Int32Array; answers: Int32Array[] }[] = [];
  for (const { row, ids } of rollouts) {
    if (groups.at(-1)?.row !== row) groups.push({ row, prompt: prompts[row], answers: [] });
    groups.at(-1)!.answers.push(ids);
  }
  return packAnswers(groups);
}

/** End to end. */
export function joinParts<A extends Float32Array | Float64Array>(ArrayType: new (length: number) => A, parts: A[]): A {
  const whole = new ArrayType(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Tokens of a step's answers, as its report tells them. */
export function countTokens(rollouts: Rollout[], prompts: Int32Array[], numGenerations: number): { tokens: number; rows: RowLengths[] } {
  const rows = microBatches(rollouts, numGenerations).map((group) => [prompts[group[0].row].length, ...group.map(({ ids }) => ids.length)]);
  const tokens = rollouts.reduce((sum, { row, ids }) => sum + prompts[row].length + ids.length, 0);
  // one answer alone is told as a row with loss on its end
  return { tokens, rows: rows.map((row) => (row.length === 2 ? [row[0] + row[1], row[1]] : row)) };
}

/** Means over the answers of a step, under TRL's names. */
export function judgedMetrics({ rollouts, scores, rewards, gold }: Judged): Record<string, number> {
  const lengths = rollouts.map(({ ids }) => ids.length);
  const ended = rollouts.filter(({ finished }) => finished).map(({ ids }) => ids.length);
  const values: Record<string, number> = {
    'completions/mean_length': mean(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': 1 - ended.length / rollouts.length,
    'completions/mean_terminated_length': ended.length > 0 ? mean(ended) : 0,
    'completions/min_terminated_length': ended.length > 0 ? Math.min(...ended) : 0,
    'completions/max_terminated_length': ended.length > 0 ? Math.max(...ended) : 0,
    'completions/repetition': mean(rollouts.map(({ ids }) => repetition(ids))),
    reward: mean(scores),
    reward_std: deviation(scores),
  };
  for (const [name, each] of Object.entries(rewards)) {
    values[`rewards/${name}/mean`] = mean(each);
    values[`rewards/${name}/std`] = deviation(each);
  }
  if (gold) values.gold = mean(gold);
  return values;
}

/** Share of a text's four-grams of tokens that stood in it before. */
function repetition(ids: Int32Array): number {
  const count = ids.length - 3;
  if (count < 2) return 0;
  return 1 - new Set(Array.from({ length: count }, (_, i) => ids.subarray(i, i + 4).join(' '))).size / count;
}

export function mean(values: ArrayLike<number>): number {
  return Array.prototype.reduce.call(values, (sum, value) => (sum as number) + (value as number), 0) as number / values.length;
}

/** With Bessel's correction, as TRL's. */
function deviation(values: Float64Array): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
