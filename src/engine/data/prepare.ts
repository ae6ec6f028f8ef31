/** Example rows on disk → token sequences in memory, for a whole split. Says how many rows were cut or left out, and why. Not the tokenising itself. */
import type { Template } from '../../shared/dataset.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { PreferenceSequences, Sequence } from './pack.ts';
import { readExamples } from './read.ts';
import { tokenizeExample, tokenizePreference } from './tokenize.ts';

export type PrepareSettings = {
  template: Template;
  tokenizer: Tokenizer;
  maxLength: number;
  completionOnlyLoss: boolean;
  /** told once per kind of trouble, with counts */
  warn: (text: string) => void;
};

export async function prepareSequences(path: string, settings: PrepareSettings): Promise<Sequence[]> {
  const rows: Sequence[] = [];
  let cut = 0;
  let silent = 0;
  for await (const example of readExamples(path)) {
    const { tokens, loss, truncated } = tokenizeExample(example, settings);
    if (truncated) cut++;
    // the first token is never a target: a row needs one after it that carries loss
    if (!loss.subarray(1).includes(1)) {
      silent++;
      continue;
    }
    rows.push({ tokens, loss });
  }
  report(settings, path, rows.length, cut, silent);
  return rows;
}

export async function preparePreferences(path: string, settings: PrepareSettings): Promise<PreferenceSequences[]> {
  const rows: PreferenceSequences[] = [];
  let cut = 0;
  let silent = 0;
  for await (const example of readExamples(path)) {
    if (example.kind !== 'preference') {
      throw new Error(`${path}: a ${example.kind} row stands where dpo needs preference pairs (prompt, chosen, rejected): choose a preference dataset`);
    }
    const { prompt, chosen, rejected, truncated } = tokenizePreference(example, settings);
    if (truncated) cut++;
    if (chosen.length === 0 || rejected.length === 0) {
      silent++;
      continue;
    }
    rows.push({ prompt, chosen, rejected });
  }
  report(settings, path, rows.length, cut, silent);
  return rows;
}

function report({ warn, maxLength }: PrepareSettings, path: string, kept: number, cut: number, silent: number): void {
  if (cut > 0) warn(`${cut} of ${kept + silent} rows were longer than maxLength (${maxLength} tokens) and were cut at the end`);
  if (silent > 0) warn(`${silent} rows were left out: after the cut to maxLength (${maxLength} tokens) nothing of the answer remained`);
  if (kept === 0) throw new Error(`${path}: no usable row: nothing to train or evaluate on`);
}
