/**
 * REINFORCE with a leave-one-out baseline: answers to each prompt are sampled and scored, less beta times their KL from the frozen reference, and each
 * is weighed against the mean of the others. Follows TRL's RLOOTrainer in names and arithmetic; the loss is losses/rloo.ts.
 */
import { leaveOneOutAdvantages, rlooLoss, type RlooSettings } from '../losses/rloo.ts';
import { countTokens, type Gathered, gatherExperience, judgedMetrics, microBatches, type OnlineData, packRollouts } from './experience.ts';
import { ClipMetrics, klEnd } from './grpo.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, sumBySequence, type Training } from './training.ts';

export type RlooOptions = RlooSettings & {
  beta: number;
  numIterations: number;
  normalizeAdvantages: boolean;
  maskTruncatedCompletions: boolean;
  klBudget: number | null;
};

export async function* rloo(training: Training, data: OnlineData, options: RlooOptions): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  let gathered: Gathered | null = null;
  for (let step = training.startStep; step < totalSteps; step++) {
    const iteration = step % options.numIterations;
    if (iteration === 0 || !gathered) gathered = await gatherExperience(training, data, step, step - iteration, true);
    const { experience } = gathered;
    const { rollouts, scores, refLogprobs } = experience;
    const oldLogps = experience.oldLogprobs!.map(sum);
    // the KL of an answer as RLOO estimates it: its log-ratio, which may be below 0
    const kls = refLogprobs?.map((each, i) => oldLogps[i] - sum(each)) ?? null;
    const rewards = scores.map((score, i) => score - options.beta * (kls?.[i] ?? 0));
    const advantages = leaveOneOutAdvantages(rewards, data.numGenerations, options.normalizeAdvantages);
    await gathered.store({ advantages: Array.from(advantages, (advantage) => [advantage]) });
    const counted = rollouts.map(({ finished }) => (options.maskTruncatedCompletions && !finished ? 0 : 1));
    const answerTokens = rollouts.reduce((all, { ids }, i) => all + counted[i] * ids.length, 0);

    const clips = new ClipMetrics();
    let [loss, entropy] = [0, 0];
    let computedTokens = 0;
    for (const [i, indices] of microBatches([...rollouts.keys()], data.batchSize).entries()) {
      const batch = packRollouts(indices.map((index) => rollouts[index]), data.prompts);
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = indices.length / rollouts.length;
      const forward = await model.forward(batch, { gradient: true, entropy: true });
      const carries = Uint8Array.from(indices, (index) => counted[index]);
      const answers = {
        logps: sumBySequence(forward.logprobs, batch.sequences, batch.sequenceCount),
        oldLogps: Float64Array.from(indices, (index) => oldLogps[index]),
        advantages: Float64Array.from(indices, (index) => advantages[index]),
        counted: carries,
      };
      const share = rlooLoss(answers, rollouts.length, options);
      model.backward(forward, Float32Array.from(batch.sequences, (s) => share.dlogps[s]));
      loss += share.loss;
      entropy += sumBySequence(forward.entropy!, batch.sequences, batch.sequenceCount).reduce((all, each, s) => all + carries[s] * each, 0);
      clips.add(share.clippedLow, share.clippedHigh, carries);
      computedTokens += batch.tokens.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, ...judgedMetrics(experience) };
    values.frac_reward_zero_std = microBatches([...rewards], data.numGenerations).filter((group) => group.every((reward) => Math.abs(reward - group[0]) < 1e-8)).length / (rewards.length / data.numGenerations);
    values.entropy = entropy / Math.max(1, answerTokens);
    if (kls) {
      values.kl = kls.reduce((all, kl, i) => all + counted[i] * kl, 0) / Math.max(1, answerTokens);
      values['objective/kl'] = kls.reduce((all, kl) => all + kl, 0) / kls.length;
    }
    Object.assign(values, clips.values());
    const ended = klEnd(values['objective/kl'], options.klBudget) ?? (iteration === 0 ? data.watch(experience) : undefined);
    if (data.evaluate && (ended || isEvaluationStep(step + 1, totalSteps, data.evalSteps))) Object.assign(values, await data.evaluate());
    const { tokens, rows } = countTokens(rollouts, data.prompts, data.numGenerations);
    const forwards = iteration === 0 ? 2 + Number(refLogprobs !== null) : 0;
    yield { step: step + 1, values, tokens: iteration === 0 ? tokens : 0, computedTokens: computedTokens * (1 + forwards), computed: { rows, forwards }, ended };
    if (ended) return;
  }
}

function sum(values: Float32Array): number {
  return values.reduce((all, value) => all + value, 0);
}
