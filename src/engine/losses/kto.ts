/**
 * Kahneman–Tversky Optimization (Ethayarajh et al. 2024), as TRL's KTOTrainer computes it: answers with a thumb up or down, no pairs.
 *
 *   r = log π(answer) − log π_ref(answer),   KL = max(0, mean of log π − log π_ref over answers to other prompts)
 *   kto:  L = w₊ · (1 − σ(β(r − KL))) of a good answer,  w₋ · (1 − σ(β(KL − r))) of a bad one
 *   apo_zero_unpaired (D'Oosterlinck et al. 2024): the same without KL
 *
 * KL is where the policy stands against the reference in general: an answer is worth what it gains over that. No gradient flows through it.
 * Hyper-parameters: beta 0.01–0.5; desirableWeight w₊ and undesirableWeight w₋, so chosen that w₊·(good rows) : w₋·(bad rows) lies between 1 and 4/3.
 */

export type KtoRows = {
  /** (R) sums of log-probs of each answer under the policy and the reference */
  logps: Float64Array;
  refLogps: Float64Array;
  /** (R) 1: a good answer */
  labels: Uint8Array;
};

export type KtoOptions = { beta: number; lossType: 'kto' | 'apo_zero_unpaired'; desirableWeight: number; undesirableWeight: number };

export type KtoLoss = {
  /** this micro-batch's share of the step's mean loss */
  loss: number;
  /** (R) dL/d(log π(answer)); every token of the answer gets this gradient */
  dlogps: Float64Array;
  /** (R) implicit rewards β · (log π − log π_ref) */
  rewards: Float64Array;
};

/** `kl` is the step's (0 for apo_zero_unpaired); `stepRows` the rows of the whole optimiser step, over all its micro-batches. */
export function ktoLoss(rows: KtoRows, kl: number, stepRows: number, { beta, desirableWeight, undesirableWeight }: KtoOptions): KtoLoss {
  const R = rows.logps.length;
  const result: KtoLoss = { loss: 0, dlogps: new Float64Array(R), rewards: new Float64Array(R) };
  for (let i = 0; i < R; i++) {
    const ratio = rows.logps[i] - rows.refLogps[i];
    const [sign, weight] = rows.labels[i] === 1 ? [1, desirableWeight] : [-1, undesirableWeight];
    const z = sign * beta * (ratio - kl);
    result.rewards[i] = beta * ratio;
    result.loss += (weight * (1 - sigmoid(z))) / stepRows;
    result.dlogps[i] = (-weight * sign * beta * sigmoid(z) * sigmoid(-z)) / stepRows; // dσ(z)/dz = σ(z)σ(−z)
  }
  return result;
}

/** From log-probs of answers to prompts they were not written for, under the policy and the reference: nats, not below 0. */
export function klEstimate(logps: Float64Array, refLogps: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < logps.length; i++) sum += logps[i] - refLogps[i];
  return Math.max(0, sum / logps.length);
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
