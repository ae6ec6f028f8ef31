/** What a judge's judgements are worth: labels, agreement with people, and how much of it the place of an answer decided. Pure arithmetic. */
import type { Judgement, Judging } from '../../shared/judging.ts';
import { shareOf } from '../statistics.ts';

/** Log-odds that the first answer is the better one: the mean over both orders. Their mean probability is on the same side of one half. */
export function preference({ inOrder, swapped }: Judgement): number {
  return (inOrder + swapped) / 2;
}

export type Worth = Pick<Judging, 'agreement' | 'firstPlace' | 'placeDecides' | 'warnings'>;

/** `labelled`: in every pair the first answer is the one people prefer. A judgement without a winner counts half. */
export function worthOf(judgements: Judgement[], labelled: boolean): Worth {
  let [agreed, first, turned] = [0, 0, 0];
  for (const judgement of judgements) {
    agreed += half(preference(judgement));
    first += half(judgement.inOrder) + half(-judgement.swapped);
    if (Math.sign(judgement.inOrder) !== Math.sign(judgement.swapped)) turned++;
  }
  const accuracy = shareOf(agreed, judgements.length);
  const placeDecides = turned / judgements.length;
  const agreement = labelled ? { accuracy, kappa: { value: kappa(accuracy.value), low: kappa(accuracy.low), high: kappa(accuracy.high) } } : null;
  return {
    agreement,
    firstPlace: first / (2 * judgements.length),
    placeDecides,
    warnings: [...(placeDecides > 0.5 ? (['place'] as const) : []), ...(agreement && agreement.accuracy.low <= 0.5 ? (['chance'] as const) : [])],
  };
}

/**
 * Cohen's kappa, (observed − chance) / (1 − chance). Each pair counts in both places, so people and judge name each place equally often and
 * chance is one half.
 */
function kappa(accuracy: number): number {
  return (accuracy - 0.5) / 0.5;
}

const half = (odds: number): number => (odds > 0 ? 1 : odds < 0 ? 0 : 0.5);
