/**
 * Consistency of a model on a prompt: it and its rephrasings asked several times each with the settings given, and how far the answers agree. The report is
 * stored. Rephrasing by rule is rephrase.ts; a paraphrase is asked of the model itself, and is only as good as the model.
 */
import type { Agreement, Consistency, ConsistencyVariant, Rephrasing } from '../../shared/consistency.ts';
import type { Constraint } from '../../shared/constraint.ts';
import type { Message } from '../../shared/dataset.ts';
import { editDistance } from '../../shared/edit-distance.ts';
import type { Prompt } from '../../shared/job.ts';
import { Sampling } from '../../shared/sampling.ts';
import { insertSamplingReport } from '../db/sampling-reports.ts';
import type { Library } from '../library.ts';
import { type Model, resolveModel } from '../models/index.ts';
import { answerPrompts } from '../playground/index.ts';
import type { Machine } from '../runs/index.ts';
import { rephrase } from './rephrase.ts';

/** Rephrasings of one kind, at most. */
const MOST = 4;
const PARAPHRASES = 3;

export type ConsistencyOptions = {
  model: string;
  prompt: string;
  /** What stands before every prompt. */
  before?: Message[];
  /** Answers to the prompt and to each rephrasing. */
  count: number;
  rephrasings: Rephrasing[];
  synonyms?: [string, string][];
  sampling: Sampling;
  constraint?: Constraint;
  machine?: Machine;
  signal?: AbortSignal;
  onCount?: (done: number, total: number) => void;
};

export async function consistency(library: Library, options: ConsistencyOptions): Promise<Consistency & { id: number }> {
  const { prompt, count, sampling, constraint, onCount = () => {} } = options;
  const model = resolveModel(library, options.model);
  const asked: { rephrasing: Rephrasing | null; prompt: string }[] = [{ rephrasing: null, prompt }];
  for (const rephrasing of new Set(options.rephrasings)) {
    const texts = rephrasing === 'paraphrase' ? await paraphrase(model, options) : rephrase(prompt, rephrasing, options.synonyms).slice(0, MOST);
    asked.push(...texts.filter((text) => !asked.some((one) => one.prompt === text)).map((text) => ({ rephrasing, prompt: text })));
  }
  let done = 0;
  const prompts = asked.flatMap((one) => Array.from({ length: count }, () => toPrompt(one.prompt, options.before)));
  const answers = await answer(model, prompts, sampling, options, { constraint, onAnswer: () => onCount(++done, prompts.length) });
  const texts = asked.map((_, i) => answers.slice(i * count, (i + 1) * count));
  const first = agreement(texts[0]);
  const variants = asked.map((one, i): ConsistencyVariant => {
    const own = agreement(texts[i]);
    return { ...one, ...own, texts: texts[i], same: evened(own.commonest) === evened(first.commonest) };
  });
  const rephrased = variants.slice(1);
  const result: Consistency = { prompt, variants, all: agreement(answers), keeps: rephrased.length === 0 ? null : rephrased.filter(({ same }) => same).length / rephrased.length };
  return { ...result, id: insertSamplingReport(library.db, model.name, { kind: 'consistency', count, sampling, constraint, result }) };
}

/** How far answers are the same. */
export function agreement(texts: string[]): Agreement {
  const groups = [...Map.groupBy(texts, evened).values()].sort((a, b) => b.length - a.length);
  const n = texts.length;
  const pairs = (n * (n - 1)) / 2;
  const same = groups.reduce((sum, { length }) => sum + (length * (length - 1)) / 2, 0);
  // answers of one group are the same: only groups are held against each other
  let apart = 0;
  for (const [i, a] of groups.entries()) {
    for (const b of groups.slice(i + 1)) {
      const [x, y] = [evened(a[0]), evened(b[0])];
      apart += (a.length * b.length * editDistance(x, y)) / Math.max(x.length, y.length);
    }
  }
  return { answers: n, distinct: groups.length, commonest: groups[0][0], share: groups[0].length / n, pairs: pairs === 0 ? null : same / pairs, distance: pairs === 0 ? null : apart / pairs };
}

function evened(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase();
}

/** The model's own words for the prompt, as far as they are others. */
async function paraphrase(model: Model, options: ConsistencyOptions): Promise<string[]> {
  const request = `Rephrase the following request in other words. Answer with the rephrased request alone.\n\n${options.prompt}`;
  const sampling = Sampling.parse({ temperature: 0.8, topP: 0.95, maxTokens: 128, seed: options.sampling.seed });
  const texts = await answer(model, Array.from({ length: PARAPHRASES }, () => toPrompt(request)), sampling, options);
  return [...new Set(texts.map((text) => text.trim().split('\n')[0]))].filter((text) => /[\p{L}\p{N}]/u.test(text) && evened(text) !== evened(options.prompt));
}

async function answer(
  model: Model, prompts: Prompt[], sampling: Sampling, { machine, signal }: ConsistencyOptions, more: { constraint?: Constraint; onAnswer?: () => void } = {},
): Promise<string[]> {
  const answers = await answerPrompts(model, prompts, { template: model.template, sampling, ...machine, signal, ...more });
  return answers.map(({ text, validity }) => validity?.repaired ?? text);
}

function toPrompt(content: string, before: Message[] = []): Prompt {
  return { messages: [...before, { role: 'user', content }] };
}
