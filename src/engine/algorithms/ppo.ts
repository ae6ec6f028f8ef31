/**
 * Reinforcement learning from human feedback by PPO: one answer a prompt, its score at the end and a price for every token's distance from the frozen
 * reference, a value model to tell what was better than expected, and several epochs of mini-batches on each batch of answers.
 * Follows TRL's PPOTrainer in names and arithmetic; the losses are losses/ppo.ts. A step here is a whole update: all epochs on one batch of answers.
 */
import type { LanguageModel } from '../model/language-model.ts';
import { adaptKlCoef, estimateAdvantages, ppoLoss, tokenRewards, whiten } from '../losses/ppo.ts';
import type { AdamW } from '../optim/adamw.ts';
import { clipScale } from '../optim/clip.ts';
import { learningRateAt } from '../optim/schedule.ts';
import { createRandom, deriveSeed, shuffle } from '../random.ts';
import { countTokens, gatherExperience, joinParts, judgedMetrics, mean, microBatches, type OnlineData, packRollouts } from './experience.ts';
import { klEnd } from './grpo.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, type StepReport, type Training } from './training.ts';

export type PpoOptions = {
  klCoef: number;
  klEstimator: 'k1' | 'k3';
  targetKl: number | null;
  klHorizon: number;
  missingEosPenalty: number | null;
  whitenRewards: boolean;
  gamma: number;
  lam: number;
  cliprange: number;
  cliprangeValue: number;
  vfCoef: number;
  numPpoEpochs: number;
  numMiniBatches: number;
  klBudget: number | null;
};

/** The value model, trained beside the policy by an optimiser of its own. */
export type Critic = { model: LanguageModel; adamw: AdamW };

export async function* ppo(training: Training, critic: Critic, data: OnlineData, options: PpoOptions): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed, settings, carried = {} } = training;
  const updates = options.numPpoEpochs * options.numMiniBatches;
  training.adamw.steps = critic.adamw.steps = training.startStep * updates;
  for (let step = training.startStep; step < totalSteps; step++) {
    const klCoef = carried.klCoef ?? options.klCoef;
    const { experience, store } = await gatherExperience(training, data, step, step, true);
    const { rollouts } = experience;
    const [oldLogprobs, refLogprobs] = [experience.oldLogprobs!, experience.refLogprobs!];
    const oldValues: Float32Array[] = [];
    for (const answers of microBatches(rollouts, data.batchSize)) {
      const { scores } = await critic.model.forwardScores(packRollouts(answers, data.prompts));
      let at = 0;
      for (const { ids } of answers) oldValues.push(scores.slice(at, (at += ids.length)));
    }

    const scores = experience.scores.map((score, i) => (rollouts[i].finished ? score : score - (options.missingEosPenalty ?? 0)));
    const { rewards, kls, nonScore } = tokenRewards({ logprobs: oldLogprobs, refLogprobs, scores }, klCoef, options.klEstimator);
    if (options.whitenRewards) whiten(rewards, false);
    const estimates = rewards.map((each, i) => estimateAdvantages(each, oldValues[i], options.gamma, options.lam));
    whiten(estimates.map(({ advantages }) => advantages), true);
    await store({ advantages: estimates.map(({ advantages }) => advantages) });

    const sums = { policy: 0, value: 0, approxKl: 0, clipped: 0, valueClipped: 0, entropy: 0, norm: 0, ratio: 0, squaredRatio: 0, aux: 0 };
    const learningRate = learningRateAt(step, totalSteps, settings);
    let [microBatch, computedTokens] = [0, 0];
    for (let epoch = 0; epoch < options.numPpoEpochs; epoch++) {
      const order = shuffle([...rollouts.keys()], createRandom(deriveSeed(seed, `ppo ${step} ${epoch}`)));
      for (const indices of microBatches(order, Math.ceil(order.length / options.numMiniBatches))) {
        const stepTokens = indices.reduce((sum, index) => sum + rollouts[index].ids.length, 0);
        const means = { approxKl: 0, clipped: 0, valueClipped: 0, entropy: 0, ratio: 0 };
        for (const part of microBatches(indices, data.batchSize)) {
          const batch = packRollouts(part.map((index) => rollouts[index]), data.prompts);
          model.dropoutSeed = critic.model.dropoutSeed = dropoutSeed(seed, step, microBatch++);
          model.microBatchShare = critic.model.microBatchShare = part.length / indices.length;
          const forward = await model.forward(batch, { gradient: true, entropy: true });
          const values = await critic.model.forwardScores(batch, { gradient: true });
          const of = <T>(parts: T[]): T[] => part.map((index) => parts[index]);
          const share = ppoLoss({
            logprobs: forward.logprobs,
            values: values.scores,
            oldLogprobs: joinParts(Float32Array, of(oldLogprobs)),
            oldValues: joinParts(Float32Array, of(oldValues)),
            advantages: joinParts(Float64Array, of(estimates).map(({ advantages }) => advantages)),
            returns: joinParts(Float64Array, of(estimates).map(({ returns }) => returns)),
          }, stepTokens, options);
          model.backward(forward, share.dlogprobs);
          critic.model.backwardScores(values, share.dvalues);
          sums.policy += share.policyLoss;
          sums.value += share.valueLoss;
          for (const name of ['approxKl', 'clipped', 'valueClipped', 'ratio'] as const) means[name] += share[name] / stepTokens;
          means.entropy += forward.entropy!.reduce((sum, entropy) => sum + entropy, 0) / stepTokens;
          computedTokens += 2 * batch.tokens.length;
        }
        for (const name of ['approxKl', 'clipped', 'valueClipped', 'entropy', 'ratio'] as const) sums[name] += means[name];
        sums.squaredRatio += means.ratio ** 2;
        sums.aux += model.auxLoss() ?? 0;
        sums.norm += await updateBoth(training, critic, step, learningRate);
      }
    }

    const kl = mean(kls);
    const average = (sum: number) => sum / updates;
    const values: Record<string, number> = {
      loss: average(sums.policy) + options.vfCoef * average(sums.value),
      grad_norm: average(sums.norm),
      learning_rate: learningRate,
      'objective/kl': kl,
      'objective/kl_coef': klCoef,
      'objective/entropy': mean(Float64Array.from(oldLogprobs, (each) => -each.reduce((sum, logprob) => sum + logprob, 0))),
      'objective/non_score_reward': mean(nonScore),
      'objective/rlhf_reward': mean(nonScore) + mean(scores),
      'objective/scores': mean(scores),
      'policy/approxkl_avg': average(sums.approxKl),
      'policy/clipfrac_avg': average(sums.clipped),
      'policy/entropy_avg': average(sums.entropy),
      'loss/policy_avg': average(sums.policy),
      'loss/value_avg': average(sums.value),
      'val/clipfrac_avg': average(sums.valueClipped),
      'val/ratio': average(sums.ratio),
      'val/ratio_var': updates > 1 ? Math.max(0, (sums.squaredRatio - sums.ratio ** 2 / updates) / (updates - 1)) : 0,
      ...(model.auxLoss() === null ? {} : { aux_loss: average(sums.aux) }),
      'val/num_eos_tokens': rollouts.filter(({ finished }) => finished).length,
      ...judgedMetrics(experience),
    };
    if (options.targetKl !== null) carried.klCoef = adaptKlCoef(klCoef, kl, options.targetKl, rollouts.length, options.klHorizon);
    const ended = klEnd(kl, options.klBudget) ?? data.watch(experience);
    if (data.evaluate && (ended || isEvaluationStep(step + 1, totalSteps, data.evalSteps))) Object.assign(values, await data.evaluate());
    const { tokens, rows } = countTokens(rollouts, data.prompts, 1);
    // both models train on every row once an epoch; besides, the answers are sampled and read by policy, reference and critic
    const trained = Array.from({ length: 2 * options.numPpoEpochs }, () => rows).flat();
    yield { step: step + 1, values, tokens, computedTokens: computedTokens + 4 * tokens, computed: { rows: trained, forwards: 2 / options.numPpoEpochs }, ended };
    if (ended) return;
  }
}

/** One optimiser step of policy and critic, their gradients clipped as one; returns the norm before. */
async function updateBoth({ model, adamw, settings }: Training, critic: Critic, step: number, learningRate: number): Promise<number> {
  const norm = Math.hypot(await adamw.gradNorm(), await critic.adamw.gradNorm());
  if (!Number.isFinite(norm)) {
    throw new Error(`step ${step + 1}: the gradient is ${norm}; the run has diverged: lower optimizer.learningRate or branch from an earlier checkpoint`);
  }
  const scale = clipScale(norm, settings.maxGradNorm);
  adamw.step(learningRate, scale);
  critic.adamw.step(learningRate, scale);
  model.zeroGrad();
  critic.model.zeroGrad();
  return norm;
}
