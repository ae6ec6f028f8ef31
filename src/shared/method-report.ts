/**
 * A method report: the same base, instructions and preferences through several methods, and what came of each, measured alike on rows and prompts
 * that none was trained on. What one run says of itself (curves, evaluations) is not here.
 */
import { z } from 'zod';
import type { Share } from './judging.ts';

export const ReportSettings = z.strictObject({
  name: z.string().min(1).max(100).default('methods').describe('name of the report'),
  model: z.string().min(1).default('attune-base').describe('the base every method starts from'),
  instructions: z.string().min(1).default('instructions').describe('dataset of the library with texts, train and validation'),
  preferences: z.string().min(1).default('preferences').describe('dataset of the library with pairs, train and validation'),
  methods: z.array(z.string()).min(1).default(['sft', 'dpo']).describe('methods held against each other; SFT is always one'),
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

/** One method, or the untrained base (`base`). */
export type ReportEntry = {
  method: string;
  runId: number | null;
  /** The model's name in the library. */
  model: string | null;
  /** Whose result it starts from or uses: methods of this report. */
  needs: string[];
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
  /** How scores come about, in a sentence, and the best one. */
  judge: { text: string; most: number };
  /** What it is at, while it runs in this process. */
  doing: { method: string; stage: 'train' | 'measure'; done: number; total: number } | null;
  error: string | null;
  createdAt: string;
  finishedAt: string | null;
};

/** Prompts that were answered: a dataset may hold fewer than were asked for. */
export function promptsOf({ entries, settings }: Pick<MethodReport, 'entries' | 'settings'>): number {
  return entries.find(({ measure }) => measure !== null)?.measure?.scores.length ?? settings.prompts;
}

/** Training time of a method with everything it stands on, s. Null while a part is missing. */
export function roadSeconds(entries: ReportEntry[], method: string): number | null {
  const entry = entries.find((one) => one.method === method);
  if (!entry || (entry.method !== 'base' && !entry.trained)) return null;
  return entry.needs.reduce<number | null>((sum, need) => {
    const seconds = roadSeconds(entries, need);
    return sum === null || seconds === null ? null : sum + seconds;
  }, entry.trained?.seconds ?? 0);
}
