/** Example rows on disk → token sequences in memory, for a whole split. Says how many rows were cut or left out, and why. Not the tokenising itself. */
import type { Example, Template, UnpairedExample } from '../../shared/dataset.ts';
import { dropsTools, templateWarnings } from '../tokenizer/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { PreferenceSequences, RankedSequences, Sequence, UnpairedSequence } from './pack.ts';
import { readExamples } from './read.ts';
import { tokenizeExample, tokenizePreference, tokenizeRanking, tokenizeText, tokenizeUnpaired } from './tokenize.ts';

export type PrepareSettings = {
  template: Template;
  tokenizer: Tokenizer;
  maxLength: number;
  completionOnlyLoss: boolean;
  /** told once per kind of trouble, with counts */
  warn: (text: string) => void;
};

export async function prepareSequences(path: string, settings: PrepareSettings): Promise<Sequence[]> {
  return prepare(path, settings, (example) => {
    const { tokens, loss, truncated } = tokenizeExample(example, settings);
    // the first token is never a target: a row needs one after it that carries loss
    return { row: loss.subarray(1).includes(1) ? { tokens, loss } : null, truncated };
  });
}

export async function preparePreferences(path: string, settings: PrepareSettings): Promise<PreferenceSequences[]> {
  return prepare(path, settings, (example) => {
    if (example.kind !== 'preference') throw new Error(`a ${example.kind} row stands where preference pairs (prompt, chosen, rejected) are needed`);
    const { prompt, chosen, rejected, truncated } = tokenizePreference(example, settings);
    return { row: chosen.length > 0 && rejected.length > 0 ? { prompt, chosen, rejected } : null, truncated };
  });
}

/** Pairs and rankings. A row with an answer longer than maxLength is left out whole (TRL's RewardTrainer does the same). */
export async function prepareRankings(path: string, settings: PrepareSettings): Promise<RankedSequences[]> {
  return prepare(path, settings, (example) => {
    if (example.kind !== 'preference' && example.kind !== 'ranking') throw new Error(`a ${example.kind} row stands where pairs or rankings of answers are needed`);
    const row = tokenizeRanking(example, settings);
    const fits = row.answers.every(({ length }) => length > 0 && row.prompt.length + length <= settings.maxLength);
    return { row: fits ? row : null, truncated: false };
  }, 'an answer is longer than that');
}

export type LabelledText = { tokens: Int32Array; label: string };

/** Texts with their labels; longer ones are left out. */
export async function prepareTexts(path: string, settings: PrepareSettings): Promise<LabelledText[]> {
  return prepare(path, settings, (example) => {
    if (example.kind !== 'classification') throw new Error(`a ${example.kind} row stands where texts with a label are needed`);
    const tokens = tokenizeText(example.text, settings.tokenizer);
    const fits = tokens.length > 0 && tokens.length <= settings.maxLength;
    return { row: fits ? { tokens, label: example.label } : null, truncated: false };
  }, 'the text is longer than that, or empty');
}

/** Labelled answers; a pair is two of them, its chosen answer a wanted one (TRL unpairs the same way). */
export async function prepareUnpaired(path: string, settings: PrepareSettings): Promise<UnpairedSequence[]> {
  const rows = await prepare(path, settings, (example) => {
    const unpaired = unpair(example).map((each) => tokenizeUnpaired(each, settings));
    const left = unpaired.filter(({ prompt, completion }) => prompt.length < settings.maxLength && completion.length > 0);
    const truncated = unpaired.some(({ prompt, completion }) => prompt.length + completion.length > settings.maxLength);
    return { row: left.length > 0 ? left : null, truncated };
  });
  return rows.flat();
}

export function unpair(example: Example): UnpairedExample[] {
  if (example.kind === 'unpaired') return [example];
  if (example.kind !== 'preference') throw new Error(`a ${example.kind} row stands where answers with a label, or preference pairs, are needed`);
  const { prompt, tools, chosen, rejected } = example;
  const asked = { kind: 'unpaired' as const, prompt, ...(tools && { tools }) };
  return [{ ...asked, completion: chosen, label: true }, { ...asked, completion: rejected, label: false }];
}

/** `tokenize` gives null for a row of whose answer nothing is left, and throws where a template refuses the row; both are counted and told. */
async function prepare<Row>(
  path: string,
  { warn, maxLength, template, tokenizer }: PrepareSettings,
  tokenize: (example: Example) => { row: Row | null; truncated: boolean },
  whyLeftOut = 'after the cut nothing of the answer remained',
): Promise<Row[]> {
  const rows: Row[] = [];
  let [cut, silent, refused] = [0, 0, 0];
  let reason = '';
  let templated = false;
  let withTools = 0;
  for await (const example of readExamples(path)) {
    templated ||= example.kind !== 'text' && example.kind !== 'completion' && example.kind !== 'classification';
    if ('tools' in example && example.tools) withTools++;
    try {
      const { row, truncated } = tokenize(example);
      if (truncated) cut++;
      if (row) rows.push(row);
      else silent++;
    } catch (error) {
      refused++;
      reason ||= (error as Error).message;
    }
  }
  if (rows.length === 0) throw new Error(`${path}: no usable row to train or evaluate on${reason && `: ${reason}`}`);
  if (templated) for (const text of templateWarnings(template, tokenizer)) warn(text);
  const all = rows.length + silent + refused;
  if (withTools > 0 && dropsTools(template, tokenizer)) warn(`${withTools} of ${all} rows list tools, which the ${template} template leaves out: the model learns to answer without seeing them`);
  if (cut > 0) warn(`${cut} of ${all} rows were longer than maxLength (${maxLength} tokens) and were cut at the end`);
  if (silent > 0) warn(`${silent} of ${all} rows were left out: with maxLength ${maxLength} tokens, ${whyLeftOut}`);
  if (refused > 0) warn(`${refused} of ${all} rows were left out; the first because ${reason}`);
  return rows;
}
