/**
 * Proximal Policy Optimization on language (Schulman et al. 2017; Ziegler et al. 2019; Stiennon et al. 2020; InstructGPT), with the switches of
 * TRL's PPOTrainer.
 *
 *   r_t = −β·kl_t + [t is the last token]·score      kl_t = log π_old − log π_ref (k1), or e^−x − 1 + x of it (k3)
 *   δ_t = r_t + γ·V_{t+1} − V_t      A_t = δ_t + γλ·A_{t+1}      R_t = A_t + V_t      then A is whitened over the batch
 *   L = mean max(−ρA, −clip(ρ, 1 ± ε)A) + c·½ mean max((V − R)², (clip(V, V_old ± ε_v) − R)²)
 *
 * The score is paid at the end of an answer, every token pays for leaving the reference, and a learned value says how much better than expected it went.
 * Hyper-parameters: klCoef 0.02–0.2, lam 0.95, gamma 1 for texts, cliprange 0.1–0.3, vfCoef 0.1–0.5.
 */

export type PpoRewards = {
  /** (S) of (tokens): log-probs as sampled, under the reference */
  logprobs: Float32Array[];
  refLogprobs: Float32Array[];
  /** (S) paid at the last token */
  scores: Float64Array;
};

/** Per-token rewards, (S) of (tokens), and each answer's sum of kl. */
export function tokenRewards({ logprobs, refLogprobs, scores }: PpoRewards, klCoef: number, estimator: 'k1' | 'k3'): { rewards: Float64Array[]; kls: Float64Array; nonScore: Float64Array } {
  const kls = new Float64Array(scores.length);
  const nonScore = new Float64Array(scores.length);
  const rewards = logprobs.map((each, s) => {
    const own = Float64Array.from(each, (logprob, t) => {
      const x = logprob - refLogprobs[s][t];
      kls[s] += x;
      return -klCoef * (estimator === 'k1' ? x : Math.exp(-x) - 1 + x);
    });
    nonScore[s] = own.reduce((sum, reward) => sum + reward, 0);
    own[own.length - 1] += scores[s];
    return own;
  });
  return { rewards, kls, nonScore };
}

/** Generalised advantage estimation (Schulman et al. 2016), (tokens); nothing is worth anything after the last token. */
export function estimateAdvantages(rewards: Float64Array, values: ArrayLike<number>, gamma: number, lam: number): { advantages: Float64Array; returns: Float64Array } {
  const T = rewards.length;
  const advantages = new Float64Array(T);
  let next = 0;
  for (let t = T - 1; t >= 0; t--) {
    const delta = rewards[t] + gamma * (t + 1 < T ? values[t + 1] : 0) - values[t];
    advantages[t] = next = delta + gamma * lam * next;
  }
  return { advantages, returns: advantages.map((advantage, t) => advantage + values[t]) };
}

/** In place, over all tokens of all answers: to deviation 1 (Bessel), and to mean 0 where `shiftMean`. */
export function whiten(parts: Float64Array[], shiftMean: boolean): void {
  const count = parts.reduce((sum, { length }) => sum + length, 0);
  if (count < 2) return;
  const mean = parts.reduce((sum, part) => part.reduce((all, value) => all + value, sum), 0) / count;
  const variance = parts.reduce((sum, part) => part.reduce((all, value) => all + (value - mean) ** 2, sum), 0) / (count - 1);
  for (const part of parts) for (let t = 0; t < part.length; t++) part[t] = (part[t] - mean) / Math.sqrt(variance + 1e-8) + (shiftMean ? 0 : mean);
}

/** The next KL coefficient (Ziegler et al. 2019): up where the KL is over its target, down where under, a fifth of the error counted at most. */
export function adaptKlCoef(klCoef: number, kl: number, target: number, answers: number, horizon: number): number {
  const error = Math.min(0.2, Math.max(-0.2, kl / target - 1));
  return klCoef * (1 + (error * answers) / horizon);
}

export type PpoSites = {
  /** (M) as they are now, and as they were when the answers were sampled */
  logprobs: Float32Array;
  values: Float32Array;
  oldLogprobs: Float32Array;
  oldValues: Float32Array;
  advantages: Float64Array;
  returns: Float64Array;
};

export type PpoLoss = {
  /** this micro-batch's shares of the optimiser step's means */
  policyLoss: number;
  valueLoss: number;
  /** (M) dL/dlogprob, dL/dvalue (times vfCoef) */
  dlogprobs: Float32Array;
  dvalues: Float32Array;
  /** sums over tokens */
  approxKl: number;
  clipped: number;
  valueClipped: number;
  ratio: number;
};

/** `stepTokens`: of the whole optimiser step, over all its micro-batches. */
export function ppoLoss(sites: PpoSites, stepTokens: number, { cliprange, cliprangeValue, vfCoef }: { cliprange: number; cliprangeValue: number; vfCoef: number }): PpoLoss {
  const M = sites.logprobs.length;
  const result: PpoLoss = {
    policyLoss: 0, valueLoss: 0, dlogprobs: new Float32Array(M), dvalues: new Float32Array(M), approxKl: 0, clipped: 0, valueClipped: 0, ratio: 0,
  };
  for (let m = 0; m < M; m++) {
    const difference = sites.logprobs[m] - sites.oldLogprobs[m];
    const ratio = Math.exp(difference);
    const A = sites.advantages[m];
    const plain = -ratio * A;
    const clipped = -Math.min(Math.max(ratio, 1 - cliprange), 1 + cliprange) * A;
    result.policyLoss += Math.max(plain, clipped) / stepTokens;
    if (clipped > plain) result.clipped++;
    else result.dlogprobs[m] = plain / stepTokens; // d(−ρA)/dlog π = −ρA
    result.approxKl += 0.5 * difference ** 2;
    result.ratio += ratio;

    const [value, old, target] = [sites.values[m], sites.oldValues[m], sites.returns[m]];
    const near = Math.min(Math.max(value, old - cliprangeValue), old + cliprangeValue);
    const [plainSquare, nearSquare] = [(value - target) ** 2, (near - target) ** 2];
    result.valueLoss += (0.5 * Math.max(plainSquare, nearSquare)) / stepTokens;
    if (nearSquare > plainSquare) result.valueClipped++;
    else result.dvalues[m] = (vfCoef * (value - target)) / stepTokens;
  }
  return result;
}
