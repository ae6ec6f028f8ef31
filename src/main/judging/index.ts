/**
 * AI feedback (RLAIF): a model in a person's place, asked by a rubric or by its scores where it is a reward model, says which answer of each pair is the better one, and what it said becomes a new dataset of
 * pairs that names it as their source. The pairs are those of a dataset, whose own labels tell what the judge is worth, or answers sampled
 * from a model. Asking the judge is the engine's (engine/judges); what its word is worth, agreement.ts's.
 */
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Message, PreferenceExample, Split } from '../../shared/dataset.ts';
import type { JudgeResult } from '../../shared/job-results.ts';
import type { Judgement, Judging } from '../../shared/judging.ts';
import { Sampling } from '../../shared/sampling.ts';
import { withExamplesFile } from '../datasets/examples-file.ts';
import { findDataset, getDataset, writeDataset } from '../datasets/index.ts';
import { insertJudging } from '../db/judgings.ts';
import { askEngineStoppably } from '../exports/index.ts';
import type { Library } from '../library.ts';
import { readLabels } from '../models/facts.ts';
import { resolveModel } from '../models/index.ts';
import { answerPrompts } from '../playground/index.ts';
import { type PromptRow, readPrompts } from '../prompts.ts';
import type { Machine } from '../runs/index.ts';
import { UserError } from '../user-error.ts';
import { preference, worthOf } from './agreement.ts';

/** Tokens of a sampled answer. */
const MAX_ANSWER_TOKENS = 128;

export const RUBRIC =
  'You compare two answers to the same prompt. The better answer does what the prompt asks, is correct, is a whole and well-formed sentence, and says no more than is needed.';

export type JudgeOptions = {
  model: string;
  dataset: string;
  split?: Split;
  /** Rows that are judged, the first ones. */
  limit?: number;
  /** Not read where the judge is a reward model. */
  rubric: string;
  /** Judges two answers of this model to each prompt, in place of the dataset's own pairs. */
  sampleFrom?: string;
  /** Of the new dataset. */
  name: string;
  machine?: Machine;
  signal?: AbortSignal;
  onCount?: (done: number, total: number) => void;
};

export async function judgeDataset(library: Library, options: JudgeOptions): Promise<Judging & { name: string }> {
  const { model: judgeName, dataset, split, limit, rubric, sampleFrom, name, machine, signal, onCount } = options;
  const judge = resolveModel(library, judgeName);
  const labels = await readLabels(library, judge.path);
  if (labels && labels.length > 1) throw new UserError(`${judge.name}: a classifier judges no pairs: name a reward model, or a model that is asked by a rubric`);
  const asked = labels ? null : rubric;
  if (asked?.trim() === '') throw new UserError('the rubric is empty: say in a sentence or two what makes an answer the better one');
  if (findDataset(library, name)) throw new UserError(`${name}: the library has a dataset of that name already: choose another`);

  return withExamplesFile(library, dataset, { splits: split ? [split] : ['train', 'validation', 'test'], limit }, async (rows) => {
    const { pairs, same } = sampleFrom === undefined ? { pairs: readPairs(dataset, readPrompts(rows)), same: 0 } : await samplePairs(library, sampleFrom, readPrompts(rows), options);
    if (pairs.length === 0) throw new UserError(`${sampleFrom}: both answers to every prompt are the same: there is nothing to judge`);
    const path = join(dirname(rows), 'pairs.jsonl');
    await writeFile(path, pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(''));
    const { device = 'native', threads = 0 } = machine ?? {};
    const judged = await askEngineStoppably<JudgeResult>({ type: 'judge', device, threads, model: judge.path, template: judge.template, rubric: asked, pairs: path }, { signal, onCount });

    const labelled: PreferenceExample[] = [];
    const judgements: Judgement[] = [];
    for (const [i, judgement] of judged.entries()) {
      if (!judgement) continue;
      judgements.push(judgement);
      labelled.push(label(pairs[i], judgement, judge.name));
    }
    if (labelled.length === 0) throw new UserError(`${judge.name}: every pair is too long to be judged by it${asked === null ? '' : ' together with the rubric'}: use a judge with a longer context`);
    const judging: Judging = {
      judge: judge.name, rubric: asked, dataset, sampledFrom: sampleFrom ?? null, pairs: labelled.length, leftOut: same + judged.length - judgements.length,
      ...worthOf(judgements, sampleFrom === undefined), at: new Date().toISOString(),
    };
    await writeDataset(library, name, 'preference', labelled, signal);
    insertJudging(library.db, getDataset(library, name).id, judging);
    return { ...judging, name };
  });
}

function label(pair: PreferenceExample, judgement: Judgement, judge: string): PreferenceExample {
  const { prompt, tools, chosen, rejected } = pair;
  const answers = preference(judgement) >= 0 ? { chosen, rejected } : { chosen: rejected, rejected: chosen };
  return { kind: 'preference', prompt, ...(tools && { tools }), ...answers, source: judge };
}

function readPairs(dataset: string, rows: PromptRow[]): PreferenceExample[] {
  return rows.map(({ messages, tools, answers }) => {
    if (!answers) throw new UserError(`${dataset}: its rows are no pairs of answers: choose a preference dataset, or a model that answers its prompts`);
    return { kind: 'preference', prompt: promptOf(messages), ...(tools && { tools }), ...answers };
  });
}

/** Two answers a prompt, temperature 1; prompts answered twice the same are counted and left out. */
async function samplePairs(library: Library, from: string, rows: PromptRow[], { machine, signal }: JudgeOptions): Promise<{ pairs: PreferenceExample[]; same: number }> {
  const model = resolveModel(library, from);
  const sampling = Sampling.parse({ temperature: 1, maxTokens: MAX_ANSWER_TOKENS });
  const prompts = rows.flatMap(({ messages, tools }) => [{ messages, tools }, { messages, tools }]); // each completion draws from a generator of its own
  const answers = await answerPrompts(model, prompts, { template: model.template, sampling, ...machine, signal });
  const pairs = rows.map(({ messages, tools }, i) => ({ kind: 'preference' as const, prompt: promptOf(messages), ...(tools && { tools }), chosen: answers[2 * i].text, rejected: answers[2 * i + 1].text }));
  const different = pairs.filter(({ chosen, rejected }) => chosen.trim() !== rejected.trim());
  return { pairs: different, same: pairs.length - different.length };
}

function promptOf(messages: Message[]): PreferenceExample['prompt'] {
  return messages.length === 1 && messages[0].role === 'user' ? messages[0].content : messages;
}
