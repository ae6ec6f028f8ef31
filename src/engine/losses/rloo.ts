/**
 * REINFORCE Leave-One-Out (Ahmadian et al. 2024, "Back to Basics") as TRL's RLOOTrainer computes it.
 *
 *   R = score − β · Σ (log π_old − log π_ref)      A = R − mean R of the other answers to its prompt      ρ = π(answer) / π_old(answer)
 *   L = −(1/answers) Σ min(ρA, clip(ρ, 1 − ε, 1 + ε_high)·A)
 *
 * The whole answer is one action, and the others' mean its baseline: no critic, no bias. The KL is part of the reward, not of the loss.
 * Hyper-parameters: beta 0.01–0.1, epsilon 0.2 (acts from the second step on a batch on).
 */

export type RlooSettings = { epsilon: number; epsilonHigh: number | null };

export type RlooAnswers = {
  /** (S) log π of each answer, under the policy as it is and as it sampled */
  logps: Float64Array;
  oldLogps: Float64Array;
  /** (S) */
  advantages: Float64Array;
  /** (S) 1: carries loss */
  counted: Uint8Array;
};

export type RlooLoss = {
  /** this micro-batch's share of the step's loss */
  loss: number;
  /** (S) dL/d(log π(answer)): every token of the answer gets this gradient */
  dlogps: Float64Array;
  /** (S) 1 where the ratio was clipped below, above */
  clippedLow: Uint8Array;
  clippedHigh: Uint8Array;
};

/** Each of `group` answers in a row against the mean of the others. (R) → (R) */
export function leaveOneOutAdvantages(rewards: Float64Array, group: number, normalize: boolean): Float64Array {
  const advantages = rewards.map((reward, i) => {
    const start = i - (i % group);
    const sum = rewards.subarray(start, start + group).reduce((all, each) => all + each, 0);
    return reward - (sum - reward) / (group - 1);
  });
  if (!normalize) return advantages;
  const mean = advantages.reduce((sum, value) => sum + value, 0) / advantages.length;
  const std = Math.sqrt(advantages.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (advantages.length - 1));
  return advantages.map((value) => (value - mean) / (std + 1e-4));
}

/** `stepAnswers`: of the whole optimiser step, over all its micro-batches. */
export function rlooLoss({ logps, oldLogps, advantages, counted }: RlooAnswers, stepAnswers: number, { epsilon, epsilonHigh }: RlooSettings): RlooLoss {
  const [low, high] = [1 - epsilon, 1 + (epsilonHigh ?? epsilon)];
  const S = logps.length;
  const result: RlooLoss = { loss: 0, dlogps: new Float64Array(S), clippedLow: new Uint8Array(S), clippedHigh: new Uint8Array(S) };
  for (let s = 0; s < S; s++) {
    if (!counted[s]) continue;
    const A = advantages[s];
    const ratio = Math.exp(logps[s] - oldLogps[s]);
    const [below, above] = [ratio < low && A < 0, ratio > high && A > 0];
    result.clippedLow[s] = Number(below);
    result.clippedHigh[s] = Number(above);
    result.loss -= Math.min(ratio * A, Math.min(Math.max(ratio, low), high) * A) / stepAnswers;
    result.dlogps[s] = below || above ? 0 : (-ratio * A) / stepAnswers;
  }
  return result;
}
