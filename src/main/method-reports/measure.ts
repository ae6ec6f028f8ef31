/**
 * One model of a report measured: perplexity and preferred pairs on held-out rows, its greedy answers to held-out prompts scored by a judge and held
 * against the SFT model's, and how far it has gone from that one. The same questions to every model.
 */
import type { ModelPath } from '../../shared/job.ts';
import type { DivergenceResult, EvaluateResult } from '../../shared/job-results.ts';
import type { ReportMeasure, ReportSettings } from '../../shared/method-report.ts';
import { Sampling } from '../../shared/sampling.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { askEngineStoppably } from '../exports/index.ts';
import type { Library } from '../library.ts';
import type { Model } from '../models/index.ts';
import { answerPrompts } from '../playground/index.ts';
import { readPrompts } from '../prompts.ts';
import type { Machine } from '../runs/index.ts';
import { meanOf, shareOf } from '../statistics.ts';
import type { Grader } from './graders.ts';

/** Held-out rows of each dataset, at most. */
const ROWS = 1000;
/** Prompts whose sampled answers tell the KL, at most. */
const KL_PROMPTS = 100;
const EXAMPLES = 4;
/** What of a dataset nothing was trained on. */
const HELD_OUT = ['validation', 'test'] as const;

export type MeasureOptions = {
  model: Model;
  settings: ReportSettings;
  /** By whose scores prompts are won. */
  judge: Grader;
  /** The report's own reward models. */
  scorers: { reward: Grader | null; gold: Grader | null };
  /** The SFT model and its scores; null for that model itself. */
  sft: { path: ModelPath; scores: number[] } | null;
  /** Whether the KL from the SFT model means something: not of the base. */
  kl: boolean;
  machine?: Machine;
  signal: AbortSignal;
  onCount: (done: number, total: number) => void;
};

export async function measureModel(library: Library, { model, settings, judge, scorers, sft, kl, machine, signal, onCount }: MeasureOptions): Promise<ReportMeasure> {
  const { device = 'native', threads = 0 } = machine ?? {};
  const splits = [...HELD_OUT];
  return withExamplesFile(library, settings.instructions, { splits, limit: ROWS }, (instructions) =>
    withExamplesFile(library, settings.preferences, { splits, limit: Math.max(ROWS, settings.prompts) }, async (preferences) => {
      const rows = await askEngineStoppably<EvaluateResult>(
        { type: 'evaluate', device, threads, model: model.path, beta: 0.1, template: model.template, instructions, preferences, maxLength: 1024 },
        { signal },
      );
      const { accuracy, pairs } = rows.preferences!;

      const prompts = readPrompts(preferences).slice(0, settings.prompts);
      const asked = prompts.map(({ messages, tools }) => ({ messages, tools }));
      const klPrompts = sft && kl ? asked.slice(0, KL_PROMPTS) : [];
      const total = asked.length + klPrompts.length;
      const sampling = Sampling.parse({ temperature: 0, maxTokens: settings.maxTokens });
      let done = 0;
      const answers = await answerPrompts(model, asked, { template: model.template, sampling, device, threads, signal, onAnswer: () => onCount(++done, total) });
      const scores = await judge.grade(asked, answers, signal);
      const meanBy = async (scorer: Grader | null) => scorer && meanOf(scorer === judge ? scores : await scorer.grade(asked, answers, signal));

      const divergence = klPrompts.length === 0 ? null : await askEngineStoppably<DivergenceResult>(
        { type: 'divergence', device, threads, model: model.path, reference: sft!.path, template: model.template, prompts: klPrompts, maxTokens: settings.maxTokens, seed: 0 },
        { signal, onCount: (some) => onCount(asked.length + some, total) },
      );
      return {
        perplexity: rows.instructions!.perplexity,
        preferenceAccuracy: shareOf(accuracy * pairs, pairs),
        score: meanOf(scores),
        reward: await meanBy(scorers.reward),
        gold: await meanBy(scorers.gold),
        scores,
        versus: sft && compare(scores, sft.scores),
        kl: divergence && around(divergence.kl, divergence.standardError),
        answerTokens: meanOf(answers.map(({ tokens }) => tokens)).value,
        examples: answers.slice(0, EXAMPLES).map(({ text }, i) => ({ prompt: prompts[i].title, answer: text })),
      };
    }),
  );
}

/** Prompt by prompt. */
export function compare(scores: number[], others: number[]): NonNullable<ReportMeasure['versus']> {
  const win = scores.filter((score, i) => score > others[i]).length;
  const loss = scores.filter((score, i) => score < others[i]).length;
  const tie = scores.length - win - loss;
  return { win, tie, loss, rate: shareOf(win + tie / 2, scores.length) };
}

function around(value: number, standardError: number): { value: number; low: number; high: number } {
  return { value, low: Math.max(0, value - 1.96 * standardError), high: value + 1.96 * standardError };
}
