/**
 * A method report: the same base, instructions and preferences through several methods, and what came of each, measured alike on rows and prompts
 * that none was trained on. What one run says of itself (curves, evaluations) is not here.
 */
import { z } from 'zod';
import type { Share } from './judging.ts';

/** What can be held against each other: recipes of these names are in resources/recipes/. SimPO is CPO by another loss. */
export const ReportMethod = z.enum(['sft', 'rejection', 'ppo', 'grpo', 'rloo', 'dpo', 'kto', 'cpo', 'simpo', 'orpo']);
export type ReportMethod = z.infer<typeof ReportMethod>;

/** A row of a report: a method; the untrained base; or a reward model that methods learn from, and `gold`, which none learns from. */
export const ReportPart = z.enum(['base', 'reward', 'gold', ...ReportMethod.options]);
export type ReportPart = z.infer<typeof ReportPart>;

export const ReportSettings = z.strictObject({
  name: z.string().min(1).max(100).default('methods').describe('name of the report'),
  model: z.string().min(1).default('attune-base').describe('the base every method starts from'),
  instructions: z.string().min(1).default('instructions').describe('dataset of the library with texts, train and validation'),
  preferences: z.string().min(1).default('preferences').describe('dataset of the library with pairs, train and validation'),
  methods: z.array(ReportMethod).min(1).default(['sft', 'rejection', 'ppo', 'dpo']).describe('methods held against each other; SFT is always one'),
  judge: z.string().min(1).default('rule').describe('what decides win, tie and loss: rule (five checks of form), gold (a reward model trained within, which no method learns from), or a reward model of the library'),
  prompts: z.int().min(2).max(5000).default(200).describe('held-out prompts that every model answers'),
  maxTokens: z.int().min(1).max(4096).default(64).describe('tokens an answer may have'),
  maxSteps: z.int().min(0).default(0).describe('optimiser steps of each training; 0 is what the recipe says'),
});
export type ReportSettings = z.infer<typeof ReportSettings>;

/** Of one model, after training. Intervals are of 95 %. */
export type ReportMeasure = {
  /** Of held-out answers, by instruction rows. */
  perplexity: number;
  /** Held-out pairs whose chosen answer the model finds likelier. */
  preferenceAccuracy: Share;
  /** Mean of the judge's scores of its answers. */
  score: Share;
  /** Mean scores of its answers by the reward model that methods learnt from, and by the one that none did; null where the report has none. */
  reward: Share | null;
  gold: Share | null;
  /** Each answer's score, in the order of the prompts. */
  scores: number[];
  /** Against the SFT model's answers, by score; `rate` counts a tie half. Null for the SFT model itself. */
  versus: { win: number; tie: number; loss: number; rate: Share } | null;
  /** From the SFT model, nats an answer; null for the SFT model itself and for the base, which is no policy trained from it. */
  kl: Share | null;
  /** Tokens of its answers, mean. */
  answerTokens: number;
  examples: { prompt: string; answer: string }[];
};

export type ReportEntry = {
  method: ReportPart;
  runId: number | null;
  /** The model's name in the library. */
  model: string | null;
  /** Whose result it starts from or uses: others of this report. */
  needs: ReportPart[];
  /** Held in memory at once while it trains. */
  models: number;
  trained: { seconds: number; peakMemoryBytes: number | null; tokens: number; steps: number } | null;
  measure: ReportMeasure | null;
};

export type ReportStatus = 'running' | 'done' | 'stopped' | 'failed' | 'interrupted';

export type MethodReport = {
  id: number;
  name: string;
  status: ReportStatus;
  settings: ReportSettings;
  entries: ReportEntry[];
  /** How scores come about, in a sentence, and the best one; null where there is none. */
  judge: { text: string; most: number | null };
  /** What it is at, while it runs in this process. */
  doing: { method: ReportPart; stage: 'train' | 'measure'; done: number; total: number } | null;
  error: string | null;
  createdAt: string;
  finishedAt: string | null;
};

/** Prompts that were answered: a dataset may hold fewer than were asked for. */
export function promptsOf({ entries, settings }: Pick<MethodReport, 'entries' | 'settings'>): number {
  return entries.find(({ measure }) => measure !== null)?.measure?.scores.length ?? settings.prompts;
}

/** Training time of a method with everything it stands on, s. Null while a part is missing. */
export function roadSeconds(entries: ReportEntry[], method: ReportPart): number | null {
  const entry = entries.find((one) => one.method === method);
  if (!entry || (entry.method !== 'base' && !entry.trained)) return null;
  return entry.needs.reduce<number | null>((sum, need) => {
    const seconds = roadSeconds(entries, need);
    return sum === null || seconds === null ? null : sum + seconds;
  }, entry.trained?.seconds ?? 0);
}
