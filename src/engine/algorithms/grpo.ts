/**
 * Group relative policy optimisation: answers to each prompt are sampled and scored, and those better than their group become likelier.
 * No critic; a frozen reference only where beta or a KL budget asks for it. Follows TRL's GRPOTrainer in names and arithmetic; the loss is losses/grpo.ts.
 * Each batch of answers is stepped on numIterations times, ratios taken against the policy that sampled it.
 */
import { groupAdvantages, grpoLoss, type GrpoSettings } from '../losses/grpo.ts';
import { countTokens, type Gathered, gatherExperience, joinParts, judgedMetrics, microBatches, type OnlineData, packRollouts } from './experience.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, sumBySequence, type Training } from './training.ts';

export type GrpoOptions = GrpoSettings & {
  numIterations: number;
  scaleRewards: 'group' | 'batch' | 'none';
  maskTruncatedCompletions: boolean;
  klBudget: number | null;
};

export async function* grpo(training: Training, data: OnlineData, options: GrpoOptions): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  let gathered: Gathered | null = null;
  for (let step = training.startStep; step < totalSteps; step++) {
    const iteration = step % options.numIterations;
    if (iteration === 0 || !gathered) gathered = await gatherExperience(training, data, step, step - iteration, options.numIterations > 1);
    const { experience } = gathered;
    const { rollouts, scores, oldLogprobs, refLogprobs } = experience;
    const { advantages, zeroStd } = groupAdvantages(scores, data.numGenerations, options.scaleRewards);
    await gathered.store({ advantages: Array.from(advantages, (advantage) => [advantage]) });
    const counted = rollouts.map(({ finished, ids }) => (options.maskTruncatedCompletions && !finished ? 0 : ids.length));
    const whole = { answers: rollouts.length, tokens: Math.max(1, counted.reduce((sum, count) => sum + count, 0)) };

    const clips = new ClipMetrics();
    let [loss, kl, entropy, distance] = [0, 0, 0, 0];
    let computedTokens = 0;
    for (const [i, indices] of microBatches([...rollouts.keys()], data.batchSize).entries()) {
      const batch = packRollouts(indices.map((index) => rollouts[index]), data.prompts);
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = indices.length / rollouts.length;
      const forward = await model.forward(batch, { gradient: true, entropy: true });
      const lengths = Int32Array.from(indices, (index) => counted[index]);
      const sites = {
        logprobs: forward.logprobs,
        oldLogprobs: oldLogprobs && joinParts(Float32Array, indices.map((index) => oldLogprobs[index])),
        refLogprobs: refLogprobs && joinParts(Float32Array, indices.map((index) => refLogprobs[index])),
        sequences: batch.sequences,
        advantages: Float64Array.from(indices, (index) => advantages[index]),
        lengths,
      };
      const share = grpoLoss(sites, whole, options);
      model.backward(forward, share.dlogprobs);
      loss += share.loss;
      kl += share.kl;
      entropy += sumBySequence(forward.entropy!, batch.sequences, batch.sequenceCount).reduce((sum, each, s) => sum + (lengths[s] > 0 ? each : 0), 0);
      if (sites.refLogprobs) for (let m = 0; m < forward.logprobs.length; m++) distance += forward.logprobs[m] - sites.refLogprobs[m];
      clips.add(share.clippedLow, share.clippedHigh, lengths);
      computedTokens += batch.tokens.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, ...judgedMetrics(experience), frac_reward_zero_std: zeroStd };
    values.entropy = entropy / whole.tokens;
    if (refLogprobs) {
      if (options.beta > 0) values.kl = kl / whole.tokens;
      values['objective/kl'] = distance / rollouts.length;
    }
    Object.assign(values, clips.values());
    const ended = klEnd(values['objective/kl'], options.klBudget) ?? (iteration === 0 ? data.watch(experience) : undefined);
    if (data.evaluate && (ended || isEvaluationStep(step + 1, totalSteps, data.evalSteps))) Object.assign(values, await data.evaluate());
    const { tokens, rows } = countTokens(rollouts, data.prompts, data.numGenerations);
    const forwards = iteration === 0 ? 1 + Number(oldLogprobs !== null) + Number(refLogprobs !== null) : 0;
    yield { step: step + 1, values, tokens: iteration === 0 ? tokens : 0, computedTokens: computedTokens * (1 + forwards), computed: { rows, forwards }, ended };
    if (ended) return;
  }
}

/** Why a run ends here, when the policy went farther from its reference than it may. */
export function klEnd(kl: number, budget: number | null): string | undefined {
  if (budget === null || !(kl > budget)) return undefined;
  return `the KL from the reference is ${kl.toFixed(2)} nats an answer, over klBudget (${budget}): the run ends here`;
}

/** Clipped tokens (or answers, as tokens of one) over a step: of all, and in the answer with the fewest and the most. */
export class ClipMetrics {
  private low: number[] = [];
  private high: number[] = [];
  private sums = { low: 0, high: 0, tokens: 0 };

  /** (S) each; answers of length 0 carry no loss */
  add(low: ArrayLike<number>, high: ArrayLike<number>, lengths: ArrayLike<number>): void {
    for (let s = 0; s < lengths.length; s++) {
      if (lengths[s] === 0) continue;
      this.sums.low += low[s];
      this.sums.high += high[s];
      this.sums.tokens += lengths[s];
      this.low.push(low[s] / lengths[s]);
      this.high.push(high[s] / lengths[s]);
    }
  }

  values(): Record<string, number> {
    const { low, high, tokens } = this.sums;
    const of = (count: number) => count / Math.max(1, tokens);
    return {
      'clip_ratio/low_mean': of(low),
      'clip_ratio/low_min': Math.min(1, ...this.low),
      'clip_ratio/high_mean': of(high),
      'clip_ratio/high_max': Math.max(0, ...this.high),
      'clip_ratio/region_mean': of(low + high),
    };
  }
}
