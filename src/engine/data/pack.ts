/**
 * Token sequences → one packed batch (batch.ts): end to end, no padding, each sequence a segment that sees nothing of the others.
 * A preference pair is three segments: the prompt once, and its two answers, which continue it; a ranking is the same with more answers.
 */
import type { Batch } from './batch.ts';

/** loss[i] = 1: token i is a target, predicted from the token before it. The first token never is one. */
export type Sequence = { tokens: Int32Array; loss: Uint8Array };

/** Answers include their end-of-turn token. */
export type PreferenceSequences = { prompt: Int32Array; chosen: Int32Array; rejected: Int32Array };

/** Answers to one prompt, best first. `margin` is by how much each should score above the next ones. */
export type RankedSequences = { prompt: Int32Array; answers: Int32Array[]; margin: number };

/** `label` is the head's row. */
export type LabelledSequence = { tokens: Int32Array; label: number };

/** A batch to be scored: a site is a text's last token, and nothing is predicted there. */
export type ScoreBatch = Omit<Batch, 'targets'>;

/** An answer to a prompt, whole; `label`: it is a wanted one. */
export type UnpairedSequence = { prompt: Int32Array; completion: Int32Array; label: boolean };

/** A prompt and what is answered, cut at the end to maxLength tokens; the answer carries loss. */
export function answered(prompt: Int32Array, completion: Int32Array, maxLength: number): Sequence {
  const tokens = Int32Array.from([...prompt, ...completion].slice(0, maxLength));
  return { tokens, loss: new Uint8Array(tokens.length).fill(1, prompt.length) };
}

export function packSequences(sequences: Sequence[]): Batch {
  const packing = startPacking(sequences.reduce((sum, { tokens }) => sum + tokens.length, 0));
  for (const [index, { tokens, loss }] of sequences.entries()) {
    const start = packing.append(tokens, null);
    for (let i = 1; i < tokens.length; i++) if (loss[i]) packing.site(start + i - 1, tokens[i], index);
  }
  return packing.finish(sequences.length);
}

/**
 * Sequence 2i is the chosen answer of pair i, 2i + 1 the rejected one; every token of both carries loss. `promptLoss`: so do the prompts'
 * tokens after the first, once a pair, as sequence 2P + i.
 */
export function packPreferences(pairs: PreferenceSequences[], promptLoss = false): Batch {
  const packing = startPacking(pairs.reduce((sum, { prompt, chosen, rejected }) => sum + prompt.length + chosen.length + rejected.length, 0));
  const starts: number[] = [];
  for (const [pair, { prompt, chosen, rejected }] of pairs.entries()) {
    if (prompt.length === 0) throw new Error('packPreferences: a pair has no prompt token, so nothing predicts the first token of its answers');
    const prefix = { start: packing.append(prompt, null), length: prompt.length };
    starts.push(prefix.start);
    for (const [which, answer] of [chosen, rejected].entries()) {
      const start = packing.append(answer, prefix);
      // the prompt's last token predicts the first token of both answers
      answer.forEach((token, i) => packing.site(i === 0 ? prefix.start + prefix.length - 1 : start + i - 1, token, 2 * pair + which));
    }
  }
  if (!promptLoss) return packing.finish(2 * pairs.length);
  for (const [pair, { prompt }] of pairs.entries()) {
    for (let i = 1; i < prompt.length; i++) packing.site(starts[pair] + i - 1, prompt[i], 2 * pairs.length + pair);
  }
  return packing.finish(3 * pairs.length);
}

/** Sites are the answers in order, those of a prompt best first. */
export function packRankings(rows: RankedSequences[]): ScoreBatch {
  const packing = startPacking(rows.reduce((sum, { prompt, answers }) => answers.reduce((total, answer) => total + answer.length, sum + prompt.length), 0));
  let count = 0;
  for (const { prompt, answers } of rows) {
    const prefix = prompt.length > 0 ? { start: packing.append(prompt, null), length: prompt.length } : null;
    for (const answer of answers) packing.site(packing.append(answer, prefix) + answer.length - 1, 0, count++);
  }
  return withoutTargets(packing.finish(count));
}

export function packTexts(texts: Int32Array[]): ScoreBatch {
  const packing = startPacking(texts.reduce((sum, { length }) => sum + length, 0));
  for (const [index, tokens] of texts.entries()) packing.site(packing.append(tokens, null) + tokens.length - 1, 0, index);
  return withoutTargets(packing.finish(texts.length));
}

function withoutTargets({ tokens, positions, segments, rows, sequences, sequenceCount }: Batch): ScoreBatch {
  return { tokens, positions, segments, rows, sequences, sequenceCount };
}

/** Answers in order, each a sequence that continues its prompt; every token of an answer carries loss. */
export function packAnswers(groups: { prompt: Int32Array; answers: Int32Array[] }[]): Batch {
  const packing = startPacking(groups.reduce((sum, { prompt, answers }) => answers.reduce((all, { length }) => all + length, sum + prompt.length), 0));
  let count = 0;
  for (const { prompt, answers } of groups) {
    if (prompt.length === 0) throw new Error('packAnswers: a prompt has no token, so nothing predicts the first token of its answers');
    const prefix = { start: packing.append(prompt, null), length: prompt.length };
    for (const answer of answers) {
      const start = packing.append(answer, prefix);
      // the prompt's last token predicts the first token of every answer
      answer.forEach((token, i) => packing.site(i === 0 ? prefix.start + prefix.length - 1 : start + i - 1, token, count));
      count++;
    }
  }
  return packing.finish(count);
}

function startPacking(N: number) {
  const tokens = new Int32Array(N);
  const positions = new Int32Array(N);
  const segments: Batch['segments'] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  const sequences: number[] = [];
  let end = 0;
  return {
    /** Returns the row its first token got. */
    append(segment: Int32Array, prefix: { start: number; length: number } | null): number {
      const start = end;
      tokens.set(segment, start);
      for (let i = 0; i < segment.length; i++) positions[start + i] = (prefix?.length ?? 0) + i;
      if (segment.length > 0) segments.push({ start, length: segment.length, prefix });
      end += segment.length;
      return start;
    },
    site(row: number, target: number, sequence: number): void {
      rows.push(row);
      targets.push(target);
      sequences.push(sequence);
    },
    finish: (sequenceCount: number): Batch => ({
      tokens,
      positions,
      segments,
      rows: Int32Array.from(rows),
      targets: Int32Array.from(targets),
      sequences: Int32Array.from(sequences),
      sequenceCount,
    }),
  };
}
