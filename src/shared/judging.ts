/**
 * Pairs of answers judged by a model in place of people (RLAIF): what is said of one pair, and what is said of a judge.
 * Not the votes of people in the playground (api/playground.ts).
 */

/** Log-odds (nats) that a pair's first answer is the better one: asked with it in the first place, and with the places changed. */
export type Judgement = { inOrder: number; swapped: number };

/** A share with its 95 % interval. */
export type Share = { value: number; low: number; high: number };

/** What a dataset of judged pairs keeps of how it came to be. */
export type Judging = {
  judge: string;
  /** null: a reward model judged, by its scores. */
  rubric: string | null;
  /** Dataset whose pairs were judged, or whose prompts were answered. */
  dataset: string;
  /** The model whose answers were judged; null: the dataset's own pairs. */
  sampledFrom: string | null;
  pairs: number;
  /** Too long for the judge, or sampled twice the same. */
  leftOut: number;
  /** With people's labels, where the dataset has them. Cohen's kappa: 0 is chance, 1 is the same always. */
  agreement: { accuracy: Share; kappa: Share } | null;
  /** Of all askings, those where the answer in the first place was found better. Without bias one half. */
  firstPlace: number;
  /** Of the pairs, those where the other answer wins when the places change: their labels are the place's, not the answers'. */
  placeDecides: number;
  /** `place`: places decide most pairs; `chance`: agreement with people is not told from chance. */
  warnings: ('place' | 'chance')[];
  at: string;
};
