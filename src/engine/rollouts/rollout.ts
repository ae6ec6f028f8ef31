/** A sampled answer, and what is known of a step's answers. Plain data: made by sample.ts, scored by rewards/, learned from by algorithms/. */

export type Rollout = {
  /** Which prompt, and which of the answers to it. */
  row: number;
  sample: number;
  /** The end-of-turn token included, where it came. */
  ids: Int32Array;
  text: string;
  /** False: cut at the most tokens an answer may have. */
  finished: boolean;
};

/** Answers of one step, all of one prompt in a row. */
export type Judged = {
  rollouts: Rollout[];
  /** (R) weighted sum of the rewards */
  scores: Float64Array;
  /** by reward's name, (R) each; `gold` is not among them */
  rewards: Record<string, Float64Array>;
  /** (R) */
  gold: Float64Array | null;
};

/** With log-probs of every answer's tokens, (R) of (tokens): under the policy that sampled, and under the frozen reference. */
export type Experience = Judged & { oldLogprobs: Float32Array[] | null; refLogprobs: Float32Array[] | null };
