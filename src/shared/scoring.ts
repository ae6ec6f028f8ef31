/** Rows of a dataset scored by a model, kept beside the rows so that they can be filtered by it: a reward model's scores, or how sure a classifier is of a label. */

/** What a dataset keeps of how its rows were scored last; each row keeps its score. Of a row with several answers the first one's counts. */
export type Scoring = {
  model: string;
  /** Whose probability the scores are; null: a reward model's scores, which have no scale of their own. */
  label: string | null;
  rows: number;
  /** Too long for the model, empty, or changed while they were scored. */
  leftOut: number;
  low: number;
  high: number;
  /** How many rows lie in each of so many even parts from `low` to `high`. */
  bins: number[];
  at: string;
};
