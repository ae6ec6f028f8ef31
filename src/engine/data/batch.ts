/**
 * A packed batch: the tokens of all sequences end to end, no padding anywhere. Made by pack.ts, read by model/ and losses.
 * A segment may continue a prefix segment that several share (a prompt and its two answers), so that it is computed once.
 */

export type Segment = {
  /** First token's row in the batch, and how many tokens follow on. */
  start: number;
  length: number;
  /** Rows of an earlier segment this one continues (attends to in full), or null. A prefix has no prefix itself. */
  prefix: { start: number; length: number } | null;
};

export type Batch = {
  /** (N) token ids */
  tokens: Int32Array;
  /** (N) place of a token in its own sequence, prefix included */
  positions: Int32Array;
  segments: Segment[];
  /** (M) loss sites: the row whose hidden state predicts … */
  rows: Int32Array;
  /** (M) … this token id. One row may predict two targets (the last prompt token, for chosen and for rejected). */
  targets: Int32Array;
  /** (M) which sequence (answer) a site belongs to, 0 … sequenceCount − 1, ascending */
  sequences: Int32Array;
  sequenceCount: number;
};
