/**
 * Odds Ratio Preference Optimization (Hong et al. 2024), as TRL's ORPOTrainer computes it: fine-tuning and preference in one, without a reference.
 *
 *   p̄ = exp(log π(answer) / tokens),  odds = p̄ / (1 − p̄)
 *   L = NLL(prompt and chosen answer) − β · mean over pairs of log σ(log odds(chosen) − log odds(rejected))
 *
 * The likelihood term teaches the chosen answers, the odds ratio takes from the rejected ones what that teaches them along the way.
 * Hyper-parameter: beta 0.1–1 (the paper's λ), the weight of the odds ratio.
 */

export type OrpoPairs = {
  /** (P) sums of log-probs of each answer and of the prompt (of its tokens after the first), and the answers' tokens */
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
  promptLogps: Float64Array;
  chosenTokens: Int32Array;
  rejectedTokens: Int32Array;
};

export type OrpoLoss = {
  /** this micro-batch's share of the step's loss, of its negative log-likelihood, and of the means of log σ(log odds ratio) and of the log odds ratio */
  loss: number;
  nll: number;
  logOddsRatio: number;
  logOddsChosen: number;
  /** (P) dL/d(log π(answer)); every token of the answer gets this gradient */
  dchosen: Float64Array;
  drejected: Float64Array;
  /** dL/dlogprob of every token of every prompt */
  dprompt: number;
  /** (P) log-probs per token; rewards are β times them */
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
};

/** `step` counts the whole optimiser step's pairs, and its tokens that carry likelihood: of prompts (but the first) and chosen answers. */
export function orpoLoss(pairs: OrpoPairs, step: { pairs: number; nllTokens: number }, { beta }: { beta: number }): OrpoLoss {
  const P = pairs.chosenLogps.length;
  const zeros = () => new Float64Array(P);
  const result: OrpoLoss = {
    loss: 0, nll: 0, logOddsRatio: 0, logOddsChosen: 0,
    dchosen: zeros(), drejected: zeros(), dprompt: -1 / step.nllTokens, chosenLogps: zeros(), rejectedLogps: zeros(),
  };
  for (let i = 0; i < P; i++) {
    result.chosenLogps[i] = pairs.chosenLogps[i] / pairs.chosenTokens[i];
    result.rejectedLogps[i] = pairs.rejectedLogps[i] / pairs.rejectedTokens[i];
    const chosen = Math.min(SURE, result.chosenLogps[i]);
    const rejected = Math.min(SURE, result.rejectedLogps[i]);
    const z = chosen - log1mexp(chosen) - (rejected - log1mexp(rejected));
    const ratio = logSigmoid(z);
    const nll = -(pairs.chosenLogps[i] + pairs.promptLogps[i]) / step.nllTokens;
    result.logOddsChosen += z / step.pairs;
    result.logOddsRatio += ratio / step.pairs;
    result.nll += nll;
    result.loss += nll - (beta * ratio) / step.pairs;
    // d(−log σ(z))/dz = −σ(−z), and the log odds of p̄ rise by 1/(1 − p̄) along log p̄
    const slope = (-beta * sigmoid(-z)) / step.pairs;
    result.dchosen[i] = slope / -Math.expm1(chosen) / pairs.chosenTokens[i] - 1 / step.nllTokens;
    result.drejected[i] = -slope / -Math.expm1(rejected) / pairs.rejectedTokens[i];
  }
  return result;
}

/** A log-prob in f32 may be exactly 0, where the odds are infinite: beyond this an answer is as likely as can be told. */
const SURE = -1e-7;

/** log(1 − eˣ) for x < 0, in the form that loses no digits on its side of −log 2. */
function log1mexp(x: number): number {
  return x < -Math.LN2 ? Math.log1p(-Math.exp(x)) : Math.log(-Math.expm1(x));
}

/** log σ(x) without overflow on either side. */
function logSigmoid(x: number): number {
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
