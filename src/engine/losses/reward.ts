/**
 * The reward model's loss (Bradley & Terry 1952; Ouyang et al. 2022, eq. 1), as TRL's RewardTrainer computes it for pairs.
 *
 *   L = (1/P) Σ over prompts  2/(K(K−1)) Σ over pairs i ≻ j  [ −log σ(sᵢ − sⱼ − m) + c (sᵢ + sⱼ)² ]
 *
 * The difference of two scores is the log-odds that people prefer the first answer. All K(K−1)/2 pairs of a prompt's K ranked answers stand in
 * one step and weigh as one prompt together (InstructGPT): pairs drawn apart would overfit, for each answer would be seen K − 1 times an epoch.
 * Hyper-parameters: m, a pair's margin, where people said how much better (Llama 2); c 0 or 0.01, which centres scores on zero (Eisenstein et al. 2023).
 */

/** One prompt's answers in a batch, best first, and by how much each pair's first should win (0 without a word on it). */
export type RankedScores = { start: number; count: number; margin: number };

export type RewardLoss = {
  /** this micro-batch's share of the step's mean loss */
  loss: number;
  /** (A) dL/dscore */
  dscores: Float32Array;
};

/** scores (A) of all answers; `stepPrompts` is the number of prompts in the whole optimiser step, over all its micro-batches. */
export function rewardLoss(scores: Float32Array, prompts: RankedScores[], stepPrompts: number, centerRewardsCoefficient: number): RewardLoss {
  const gradient = new Float64Array(scores.length);
  let loss = 0;
  for (const { start, count, margin } of prompts) {
    const weight = 2 / (count * (count - 1)) / stepPrompts;
    for (let i = start; i < start + count; i++) {
      for (let j = i + 1; j < start + count; j++) {
        const z = scores[i] - scores[j] - margin;
        const sum = scores[i] + scores[j];
        loss += weight * (-logSigmoid(z) + centerRewardsCoefficient * sum ** 2);
        // d(−log σ(z))/dz = −σ(−z)
        const dz = -weight * sigmoid(-z);
        const dsum = 2 * weight * centerRewardsCoefficient * sum;
        gradient[i] += dz + dsum;
        gradient[j] += -dz + dsum;
      }
    }
  }
  return { loss, dscores: Float32Array.from(gradient) };
}

/** log σ(x) without overflow on either side. */
function logSigmoid(x: number): number {
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
