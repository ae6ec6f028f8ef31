/**
 * What a generated token tells, worked out for the eye: its own probability, the entropy of what is shown, a tint, its text with blanks made
 * visible, and its characters cut where a mark begins or ends. Pure; drawing is TokenBlock's and TokenDetails'.
 */
import type { GeneratedToken, ReadColumn } from '../../../shared/api/playground.ts';
import type { Range } from '../../word-diff.ts';

export type Segment = { text: string; marked: boolean };

/** Tints by the model's own probability of the token, likeliest first: [at least, tint]. */
export const TINTS = [0.9, 0.5, 0.2, 0.05, 0] as const;

/** 0 (likely) to 4 (very unlikely). */
export function tintOf(logprob: number): number {
  const probability = Math.exp(logprob);
  return TINTS.findIndex((least) => probability >= least);
}

/** Tints by the entropy of the model's distribution where a token stands, nats, surest first: below the first of these, the second … */
export const ENTROPIES = [0.1, 0.5, 1.5, 3] as const;

/** 0 (sure) to 4 (anything could stand there). */
export function entropyTint(entropy: number): number {
  const tint = ENTROPIES.findIndex((below) => entropy < below);
  return tint < 0 ? ENTROPIES.length : tint;
}

/** Whole where it was told; of answers from before it was, that of the shown alternatives. */
export function entropyOf(token: GeneratedToken): number {
  return token.entropy ?? shownEntropy(token.alternatives);
}

/** Of the shown alternatives, as they are (the rest of the vocabulary left out), in nats. */
export function shownEntropy(alternatives: { probability: number }[]): number {
  return alternatives.reduce((sum, { probability: p }) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

/** Whether the drawn-from probabilities tell anything the model's own do not. */
export function samplingDiffers(alternatives: GeneratedToken['alternatives']): boolean {
  return alternatives.some(({ probability, sampledProbability }) => Math.abs(probability - sampledProbability) > 5e-4);
}

/** ` the\n` → `␣the⏎`: for a list of tokens, where blanks must be seen. */
export function visibleText(text: string): string {
  return text.replaceAll(' ', '␣').replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll('\r', '␍');
}

/** A token as people see it by itself: what it added to the text is nothing while a character is unfinished, and nothing for the end of turn. */
export function tokenLabel(token: GeneratedToken): string {
  return token.text !== '' ? token.text : (token.alternatives.find(({ id }) => id === token.id)?.text ?? '');
}

/** `text`, which begins at `offset` of the whole, cut at the borders of `ranges`. */
export function cutAtRanges(text: string, offset: number, ranges: readonly Range[]): Segment[] {
  const end = offset + text.length;
  const segments: Segment[] = [];
  let at = offset;
  const take = (to: number, marked: boolean): void => {
    if (to > at) segments.push({ text: text.slice(at - offset, to - offset), marked });
    at = Math.max(at, to);
  };
  for (const [from, to] of ranges) {
    if (to <= offset) continue;
    if (from >= end) break;
    take(Math.max(at, Math.min(from, end)), false);
    take(Math.min(to, end), true);
  }
  take(end, false);
  return segments;
}

/** Of the answer's tokens: what the second model gives more than the first, nats, and whether they would have gone on differently there. Null where their tokens are not the same. */
export function divergences(a: ReadColumn, b: ReadColumn): { difference: number; parted: boolean }[] | null {
  const [own, other] = [a, b].map(({ tokens, promptTokens }) => tokens.slice(promptTokens));
  if (own.length !== other.length || own.some(({ text }, i) => text !== other[i].text)) return null;
  return own.map(({ logprob, best }, i) => ({ difference: (other[i].logprob ?? 0) - (logprob ?? 0), parted: best?.text !== other[i].best?.text }));
}
