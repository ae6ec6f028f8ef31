/**
 * Direct Preference Optimization (Rafailov et al. 2023) and IPO (Azar et al. 2023), as TRL's DPOTrainer computes them.
 *
 *   Δ = (log π(chosen) − log π_ref(chosen)) − (log π(rejected) − log π_ref(rejected))
 *   sigmoid:  L = −(1 − ε) log σ(βΔ) − ε log σ(−βΔ)          ipo:  L = (Δ̄ − 1/(2β))²,  Δ̄ with each log-ratio divided by its answer's length
 *
 * The policy's log-ratio to a frozen reference is an implicit reward; the loss widens its margin between the two answers.
 * Hyper-parameters: beta 0.01–0.5 (pull to the reference); labelSmoothing ε 0–0.3 (cDPO: share of labels taken to be flipped; sigmoid only).
 */

export type DpoPairs = {
  /** (P) sums of log-probs of each answer under the policy and the reference, and the tokens summed */
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
  refChosenLogps: Float64Array;
  refRejectedLogps: Float64Array;
  chosenTokens: Int32Array;
  rejectedTokens: Int32Array;
};

export type DpoLoss = {
  /** this micro-batch's share of the step's mean loss */
  loss: number;
  /** (P) dL/d(log π(answer)); every token of the answer gets this gradient */
  dchosen: Float64Array;
  drejected: Float64Array;
  /** (P) implicit rewards β · (log π − log π_ref) */
  chosenRewards: Float64Array;
  rejectedRewards: Float64Array;
};

/** `stepPairs` is the number of pairs in the whole optimiser step, over all its micro-batches. */
export function dpoLoss(
  pairs: DpoPairs,
  stepPairs: number,
  { beta, lossType, labelSmoothing }: { beta: number; lossType: 'sigmoid' | 'ipo'; labelSmoothing: number },
): DpoLoss {
  const P = pairs.chosenLogps.length;
  const result: DpoLoss = {
    loss: 0,
    dchosen: new Float64Array(P),
    drejected: new Float64Array(P),
    chosenRewards: new Float64Array(P),
    rejectedRewards: new Float64Array(P),
  };
  for (let i = 0; i < P; i++) {
    const chosenLogratio = pairs.chosenLogps[i] - pairs.refChosenLogps[i];
    const rejectedLogratio = pairs.rejectedLogps[i] - pairs.refRejectedLogps[i];
    result.chosenRewards[i] = beta * chosenLogratio;
    result.rejectedRewards[i] = beta * rejectedLogratio;
    if (lossType === 'sigmoid') {
      const z = beta * (chosenLogratio - rejectedLogratio);
      result.loss += (-(1 - labelSmoothing) * logSigmoid(z) - labelSmoothing * logSigmoid(-z)) / stepPairs;
      // d(−log σ(z))/dz = −σ(−z), d(−log σ(−z))/dz = σ(z)
      const dz = (-(1 - labelSmoothing) * sigmoid(-z) + labelSmoothing * sigmoid(z)) / stepPairs;
      result.dchosen[i] = beta * dz;
      result.drejected[i] = -beta * dz;
    } else {
      const chosenTokens = Math.max(1, pairs.chosenTokens[i]);
      const rejectedTokens = Math.max(1, pairs.rejectedTokens[i]);
      const distance = chosenLogratio / chosenTokens - rejectedLogratio / rejectedTokens - 1 / (2 * beta);
      result.loss += distance ** 2 / stepPairs;
      result.dchosen[i] = (2 * distance) / chosenTokens / stepPairs;
      result.drejected[i] = (-2 * distance) / rejectedTokens / stepPairs;
    }
  }
  return result;
}

/** log σ(x) without overflow on either side. */
function logSigmoid(x: number): number {
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
