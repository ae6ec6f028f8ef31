/** What a run's evaluations found that is no curve: tables and distributions, one a step. */

export type RewardReport = {
  type: 'reward';
  pairs: number;
  /** Counts of equal bins from `low` on, each `width` wide, of the better and of the worse answer of every pair. */
  scores: { low: number; width: number; chosen: number[]; rejected: number[] };
  /** Mean over pairs of |confidence − accuracy|, by bins of confidence. */
  calibrationError: number;
  /** Confidence is the probability given to the answer scored higher; a bin without pairs has nulls. */
  calibration: { from: number; pairs: number; confidence: number | null; accuracy: number | null }[];
};

export type ClassifyReport = {
  type: 'classify';
  labels: string[];
  /** counts[label][predicted] */
  counts: number[][];
};

export type RunReport = RewardReport | ClassifyReport;
