/**
 * Group Relative Policy Optimization (Shao et al. 2024, DeepSeekMath) as TRL's GRPOTrainer computes it, with the switches of DAPO (Yu et al. 2025)
 * and Dr. GRPO (Liu et al. 2025).
 *
 *   A = (R − mean of its group) / (std + 1e-4)      ρ = π(token) / π_old(token)      k = exp(log π_ref − log π) − (log π_ref − log π) − 1
 *   L = Σ w · ( −min(ρA, clip(ρ, 1 − ε, 1 + ε_high)·A) + β·k·ρ )      over the step's tokens
 *   w:  grpo 1/(answers · tokens of the answer)   dapo, bnpo 1/tokens of the step   dr_grpo 1/(answers · maxCompletionLength)
 *
 * Answers better than others to the same prompt become likelier; no critic is learned. bnpo is dapo where the whole step normalises.
 * Hyper-parameters: epsilon 0.1–0.3, epsilonHigh 0.2–0.3, beta 0–0.1 (k is Schulman's k3; the ρ on it corrects its bias off-policy).
 */

export type GrpoSettings = {
  epsilon: number;
  epsilonHigh: number | null;
  beta: number;
  lossType: 'grpo' | 'bnpo' | 'dr_grpo' | 'dapo';
  useBiasCorrectionKl: boolean;
  maxCompletionLength: number;
};

export type GrpoSites = {
  /** (M) log π of each sampled token, answer by answer; under the policy that sampled (null: it is this one), and the reference (null: none) */
  logprobs: Float32Array;
  oldLogprobs: Float32Array | null;
  refLogprobs: Float32Array | null;
  /** (M) which answer a token is of */
  sequences: Int32Array;
  /** (S) of each answer */
  advantages: Float64Array;
  /** (S) tokens of each answer; 0 where it carries no loss */
  lengths: Int32Array;
};

export type GrpoLoss = {
  /** this micro-batch's share of the step's loss */
  loss: number;
  /** (M) dL/dlogprob */
  dlogprobs: Float32Array;
  /** sum of k over tokens that carry loss */
  kl: number;
  /** (S) tokens whose ratio was clipped below, above */
  clippedLow: Int32Array;
  clippedHigh: Int32Array;
};

/** Means and deviations are over each `group` answers in a row, deviations with Bessel's correction. (R) → (R) */
export function groupAdvantages(scores: Float64Array, group: number, scale: 'group' | 'batch' | 'none'): { advantages: Float64Array; zeroStd: number } {
  const advantages = new Float64Array(scores.length);
  const whole = deviation(scores);
  let flat = 0;
  for (let start = 0; start < scores.length; start += group) {
    const each = scores.subarray(start, start + group);
    const mean = each.reduce((sum, score) => sum + score, 0) / each.length;
    const std = scale === 'batch' ? whole : deviation(each);
    if (std < 1e-8) flat++;
    for (let i = 0; i < each.length; i++) advantages[start + i] = (each[i] - mean) / (scale === 'none' ? 1 : std + 1e-4);
  }
  return { advantages, zeroStd: (flat * group) / scores.length };
}

/** `step`: answers and counted tokens of the whole optimiser step, over all its micro-batches. */
export function grpoLoss(sites: GrpoSites, step: { answers: number; tokens: number }, settings: GrpoSettings): GrpoLoss {
  const { logprobs, oldLogprobs, refLogprobs, sequences, advantages, lengths } = sites;
  const { epsilon, beta, lossType, useBiasCorrectionKl, maxCompletionLength } = settings;
  const [low, high] = [1 - epsilon, 1 + (settings.epsilonHigh ?? epsilon)];
  const S = advantages.length;
  const result: GrpoLoss = { loss: 0, dlogprobs: new Float32Array(logprobs.length), kl: 0, clippedLow: new Int32Array(S), clippedHigh: new Int32Array(S) };
  for (let m = 0; m < logprobs.length; m++) {
    const s = sequences[m];
    if (lengths[s] === 0) continue;
    const weight =
      lossType === 'grpo' ? 1 / (step.answers * lengths[s]) : lossType === 'dr_grpo' ? 1 / (step.answers * maxCompletionLength) : 1 / step.tokens;
    const A = advantages[s];
    const ratio = oldLogprobs ? Math.exp(logprobs[m] - oldLogprobs[m]) : 1;
    const [below, above] = [ratio < low && A < 0, ratio > high && A > 0];
    if (below) result.clippedLow[s]++;
    if (above) result.clippedHigh[s]++;
    const clipped = Math.min(Math.max(ratio, low), high);
    let term = -Math.min(ratio * A, clipped * A);
    let dterm = below || above ? 0 : -ratio * A;
    if (beta > 0 && refLogprobs) {
      const distance = refLogprobs[m] - logprobs[m];
      const k = Math.exp(distance) - distance - 1;
      const corrected = useBiasCorrectionKl ? k * ratio : k;
      result.kl += corrected;
      term += beta * corrected;
      // dk/dlog π = 1 − exp(distance), dρ/dlog π = ρ
      dterm += beta * (useBiasCorrectionKl ? ratio * (1 - Math.exp(distance) + k) : 1 - Math.exp(distance));
    }
    result.loss += weight * term;
    result.dlogprobs[m] = weight * dterm;
  }
  return result;
}

function deviation(values: Float64Array): number {
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
