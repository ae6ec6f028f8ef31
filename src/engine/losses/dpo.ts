/**
 * Direct Preference Optimization (Rafailov et al. 2023) and the losses of its family, as TRL's DPOTrainer computes them.
 *
 *   c = log π(chosen) − log π_ref(chosen),  r likewise for the rejected answer,  z = β(c − r)
 *   sigmoid:  L = −(1 − ε) log σ(z) − ε log σ(−z)
 *
 * The policy's log-ratio to a frozen reference is an implicit reward; the losses widen its margin between the two answers, or move each
 * answer's own reward. Several may be added up, each with its weight; `sft` is the chosen answers' negative log-likelihood.
 * Hyper-parameters: beta 0.01–0.5 (pull to the reference; IPO's τ); labelSmoothing ε 0–0.3 (share of labels taken to be flipped: cDPO and
 * robust; exo_pair needs it above 0, about 1e-3).
 */

export type DpoLossType =
  | 'sigmoid' | 'hinge' | 'ipo' | 'exo_pair' | 'nca_pair' | 'robust' | 'bco_pair' | 'sppo_hard' | 'apo_zero' | 'apo_down' | 'sigmoid_norm' | 'sft';

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

/** `lossWeights`: one a loss, 1 each when left out. */
export type DpoOptions = { beta: number; lossType: DpoLossType[]; lossWeights?: number[]; labelSmoothing: number };

/** `step` counts the whole optimiser step's pairs and tokens of chosen answers, over all its micro-batches. */
export function dpoLoss(pairs: DpoPairs, step: { pairs: number; chosenTokens: number }, options: DpoOptions): DpoLoss {
  const { beta, lossType, lossWeights } = options;
  const P = pairs.chosenLogps.length;
  const result: DpoLoss = {
    loss: 0,
    dchosen: new Float64Array(P),
    drejected: new Float64Array(P),
    chosenRewards: new Float64Array(P),
    rejectedRewards: new Float64Array(P),
  };
  for (let i = 0; i < P; i++) {
    const c = pairs.chosenLogps[i] - pairs.refChosenLogps[i];
    const r = pairs.rejectedLogps[i] - pairs.refRejectedLogps[i];
    result.chosenRewards[i] = beta * c;
    result.rejectedRewards[i] = beta * r;
    for (const [k, name] of lossType.entries()) {
      const weight = lossWeights?.[k] ?? 1;
      if (name === 'sft') {
        // every token of the step's chosen answers weighs the same, as in losses/sft.ts
        result.loss -= (weight * pairs.chosenLogps[i]) / step.chosenTokens;
        result.dchosen[i] -= weight / step.chosenTokens;
        continue;
      }
      const [value, dc, dr] = LOSSES[name](c, r, { ...options, chosenTokens: pairs.chosenTokens[i], rejectedTokens: pairs.rejectedTokens[i] });
      result.loss += (weight * value) / step.pairs;
      result.dchosen[i] += (weight * dc) / step.pairs;
      result.drejected[i] += (weight * dr) / step.pairs;
    }
  }
  return result;
}

type PairOptions = { beta: number; labelSmoothing: number; chosenTokens: number; rejectedTokens: number };

/** Of one pair: the loss, its slope along c, its slope along r. */
const LOSSES: Record<Exclude<DpoLossType, 'sft'>, (c: number, r: number, options: PairOptions) => [number, number, number]> = {
  // d(−log σ(z))/dz = −σ(−z), d(−log σ(−z))/dz = σ(z)
  sigmoid: (c, r, { beta, labelSmoothing: e }) => {
    const z = beta * (c - r);
    return alongMargin(-(1 - e) * logSigmoid(z) - e * logSigmoid(-z), beta * (-(1 - e) * sigmoid(-z) + e * sigmoid(z)));
  },

  // SLiC's hinge (Zhao et al. 2023; Liu et al. 2023): nothing is asked of a pair once its margin is 1
  hinge: (c, r, { beta }) => {
    const short = 1 - beta * (c - r);
    return alongMargin(Math.max(0, short), short > 0 ? -beta : 0);
  },

  // Azar et al. 2023: the margin per token shall be 1/(2β), no more
  ipo: (c, r, { beta, ...answers }) => {
    const [C, R] = tokensOf(answers);
    const distance = c / C - r / R - 1 / (2 * beta);
    return [distance ** 2, (2 * distance) / C, (-2 * distance) / R];
  },

  // Ji et al. 2024: the reverse KL of softmax(βc, βr) from the labels (1 − ε, ε); dq/dz = σ(z)σ(−z), and the logs' own slopes cancel
  exo_pair: (c, r, { beta, labelSmoothing: e }) => {
    const z = beta * (c - r);
    const chosen = logSigmoid(z) - Math.log1p(-e);
    const rejected = logSigmoid(-z) - Math.log(e);
    return alongMargin(sigmoid(z) * chosen + sigmoid(-z) * rejected, beta * sigmoid(z) * sigmoid(-z) * (chosen - rejected));
  },

  // Chen et al. 2024: each answer's own reward, both held towards 0
  nca_pair: (c, r, { beta }) => [
    -logSigmoid(beta * c) - 0.5 * logSigmoid(-beta * c) - 0.5 * logSigmoid(-beta * r),
    beta * (-sigmoid(-beta * c) + 0.5 * sigmoid(beta * c)),
    beta * 0.5 * sigmoid(beta * r),
  ],

  // Chowdhury et al. 2024: unbiased when a share ε of the labels is flipped
  robust: (c, r, { beta, labelSmoothing: e }) => {
    const z = beta * (c - r);
    const value = (-(1 - e) * logSigmoid(z) + e * logSigmoid(-z)) / (1 - 2 * e);
    return alongMargin(value, (beta * (-(1 - e) * sigmoid(-z) - e * sigmoid(z))) / (1 - 2 * e));
  },

  // Jung et al. 2024, without its running shift, as TRL has it here: chosen up, rejected down, each on its own
  bco_pair: (c, r, { beta }) => [-logSigmoid(beta * c) - logSigmoid(-beta * r), -beta * sigmoid(-beta * c), beta * sigmoid(beta * r)],

  // Wu et al. 2024, hard labels: log-ratios of ±1/(2β)
  sppo_hard: (c, r, { beta }) => [(c - 0.5 / beta) ** 2 + (r + 0.5 / beta) ** 2, 2 * (c - 0.5 / beta), 2 * (r + 0.5 / beta)],

  // D'Oosterlinck et al. 2024: zero where chosen answers are better than the model's own, down where they are worse; dσ(z)/dz = σ(z)σ(−z)
  apo_zero: (c, r, { beta }) => [1 - sigmoid(beta * c) + sigmoid(beta * r), -beta * bell(beta * c), beta * bell(beta * r)],
  apo_down: (c, r, { beta }) => {
    const margin = beta * bell(beta * (c - r));
    return [sigmoid(beta * c) + 1 - sigmoid(beta * (c - r)), beta * bell(beta * c) - margin, margin];
  },

  // sigmoid of the margin per token: a long answer is worth no more than a short one
  sigmoid_norm: (c, r, { beta, ...answers }) => {
    const [C, R] = tokensOf(answers);
    const z = beta * (c / C - r / R);
    return [-logSigmoid(z), (-beta * sigmoid(-z)) / C, (beta * sigmoid(-z)) / R];
  },
};

/** A loss of c − r alone. */
function alongMargin(value: number, slope: number): [number, number, number] {
  return [value, slope, -slope];
}

function tokensOf({ chosenTokens, rejectedTokens }: { chosenTokens: number; rejectedTokens: number }): [number, number] {
  return [Math.max(1, chosenTokens), Math.max(1, rejectedTokens)];
}

/** log σ(x) without overflow on either side. */
function logSigmoid(x: number): number {
  return x >= 0 ? -Math.log1p(Math.exp(-x)) : x - Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/** The slope of σ. */
function bell(x: number): number {
  return sigmoid(x) * sigmoid(-x);
}
