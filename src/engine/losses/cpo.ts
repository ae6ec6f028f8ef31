/**
 * Contrastive Preference Optimization (Xu et al. 2024) and SimPO (Meng et al. 2024): pairs without a reference, as TRL's CPOTrainer computes them.
 *
 *   z = β(log π(chosen) − log π(rejected))      (simpo and ipo: log-probs per token)
 *   sigmoid:  L = −(1 − ε) log σ(z) − ε log σ(−z)       simpo: the same with z − γ       and  + α · NLL(chosen)
 *
 * The reward is the policy's own log-prob, so nothing holds it to where it began but the chosen answers' likelihood (cpoAlpha), which makes up for it.
 * Hyper-parameters: beta 0.1 (simpo 2–2.5, since its log-probs are per token); cpoAlpha 1, or 0 for SimPO as published; simpoGamma 0.5–1.6, the margin asked for.
 */

export type CpoPairs = {
  /** (P) sums of log-probs of each answer, and the tokens summed */
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
  chosenTokens: Int32Array;
  rejectedTokens: Int32Array;
};

export type CpoOptions = { beta: number; lossType: 'sigmoid' | 'hinge' | 'ipo' | 'simpo'; labelSmoothing: number; cpoAlpha: number; simpoGamma: number };

export type CpoLoss = {
  /** this micro-batch's share of the step's loss, and of it the chosen answers' mean negative log-likelihood (not yet times cpoAlpha) */
  loss: number;
  nll: number;
  /** (P) dL/d(log π(answer)); every token of the answer gets this gradient */
  dchosen: Float64Array;
  drejected: Float64Array;
  /** (P) log-probs as the loss reads them: sums, or means per token; rewards are β times them */
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
};

/** `step` counts the whole optimiser step's pairs and tokens of chosen answers, over all its micro-batches. */
export function cpoLoss(pairs: CpoPairs, step: { pairs: number; chosenTokens: number }, options: CpoOptions): CpoLoss {
  const { lossType, cpoAlpha } = options;
  const P = pairs.chosenLogps.length;
  const perToken = lossType === 'ipo' || lossType === 'simpo';
  const zeros = () => new Float64Array(P);
  const result: CpoLoss = { loss: 0, nll: 0, dchosen: zeros(), drejected: zeros(), chosenLogps: zeros(), rejectedLogps: zeros() };
  for (let i = 0; i < P; i++) {
    const chosenTokens = perToken ? Math.max(1, pairs.chosenTokens[i]) : 1;
    const rejectedTokens = perToken ? Math.max(1, pairs.rejectedTokens[i]) : 1;
    result.chosenLogps[i] = pairs.chosenLogps[i] / chosenTokens;
    result.rejectedLogps[i] = pairs.rejectedLogps[i] / rejectedTokens;
    const [value, slope] = contrast(result.chosenLogps[i] - result.rejectedLogps[i], options);
    const nll = -pairs.chosenLogps[i] / step.chosenTokens;
    result.nll += nll;
    result.loss += value / step.pairs + cpoAlpha * nll;
    result.dchosen[i] = slope / chosenTokens / step.pairs - cpoAlpha / step.chosenTokens;
    result.drejected[i] = -slope / rejectedTokens / step.pairs;
  }
  return result;
}

/** The loss of one margin, and its slope. d(−log σ(z))/dz = −σ(−z), d(−log σ(−z))/dz = σ(z) */
function contrast(margin: number, { beta, lossType, labelSmoothing: e, simpoGamma }: CpoOptions): [number, number] {
  if (lossType === 'ipo') return [(margin - 1 / (2 * beta)) ** 2, 2 * (margin - 1 / (2 * beta))];
  if (lossType === 'hinge') return [Math.max(0, 1 - beta * margin), beta * margin < 1 ? -beta : 0];
  const z = beta * margin - (lossType === 'simpo' ? simpoGamma : 0);
  return [-(1 - e) * logSigmoid(z) - e * logSigmoid(-z), beta * (-(1 - e) * sigmoid(-z) + e * sigmoid(z))];
}

/** log σ(x) without overflow on either side. */
function logSigmoid(x: number): number {
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
