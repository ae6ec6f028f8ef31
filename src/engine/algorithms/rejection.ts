/**
 * Rejection sampling (Llama 2, Touvron et al. 2023; RAFT, Dong et al. 2023): several answers to each prompt, the best of them kept, and supervised
 * fine-tuning on those, in rounds that each sample from the model as it is by then. The loss is losses/sft.ts.
 * A round's candidates are all sampled before its first step and stored with their scores; a resumed run reads them.
 */
import { sftLoss } from '../losses/sft.ts';
import { createRandom, deriveSeed, shuffle } from '../random.ts';
import type { Judged, Rollout } from '../rollouts/rollout.ts';
import { countTokens, gatherExperience, judgedMetrics, microBatches, type OnlineData, packRollouts } from './experience.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, type Training } from './training.ts';

export type RejectionOptions = {
  rounds: number;
  keep: 'best' | 'fraction';
  keepFraction: number;
  scoreThreshold: number | null;
  gradientAccumulationSteps: number;
};

/** `first`: its first step. `score`: the mean of those kept. */
type Round = { first: number; candidates: Judged; kept: Rollout[]; score: number };

export async function* rejection(training: Training, data: OnlineData, options: RejectionOptions): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  const perRound = Math.ceil(totalSteps / options.rounds);
  let round: Round | null = null;
  for (let step = training.startStep; step < totalSteps; step++) {
    const first = step - (step % perRound);
    const stepsOfRound = Math.min(perRound, totalSteps - first);
    if (round === null || round.first !== first) {
      const rows = [...new Set(data.steps.slice(first, first + stepsOfRound).flatMap((batches) => batches.flatMap((batch) => [...batch])))];
      const whole = { ...data, steps: { ...data.steps, [first]: [Int32Array.from(rows)] } };
      const { experience: candidates, store } = await gatherExperience(training, whole, step, first, false);
      const indices = selectAnswers(candidates, data.numGenerations, options);
      await store({ kept: indices });
      if (indices.length === 0) {
        throw new Error(`step ${step + 1}: none of ${candidates.rollouts.length} answers is kept (their mean score is ${judgedMetrics(candidates).reward.toFixed(3)}): lower scoreThreshold, raise maxCompletionLength, or start from a better model`);
      }
      const kept: Rollout[] = shuffle(indices.map((index) => candidates.rollouts[index]), createRandom(deriveSeed(seed, `kept ${first}`)));
      round = { first, candidates, kept, score: indices.reduce((sum, index) => sum + candidates.scores[index], 0) / indices.length };
    }
    const { candidates, kept, score } = round;
    const answers = dealt(kept, step - first, stepsOfRound);
    const batches = microBatches(answers, Math.ceil(answers.length / options.gradientAccumulationSteps)).map((part) => packRollouts(part, data.prompts));
    const stepTokens = batches.reduce((sum, batch) => sum + batch.targets.length, 0);

    let [loss, correct, entropy, computedTokens] = [0, 0, 0, 0];
    for (const [i, batch] of batches.entries()) {
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = batch.sequenceCount / answers.length;
      const forward = await model.forward(batch, { gradient: true, entropy: true, best: true });
      const share = sftLoss(forward.logprobs, stepTokens);
      model.backward(forward, share.dlogprobs);
      loss += share.loss;
      for (let m = 0; m < batch.targets.length; m++) {
        correct += Number(forward.best![m] === batch.targets[m]);
        entropy += forward.entropy![m];
      }
      computedTokens += batch.tokens.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, mean_token_accuracy: correct / stepTokens, entropy: entropy / stepTokens };
    Object.assign(values, judgedMetrics(candidates), { 'reward/kept': score, kept_ratio: kept.length / candidates.rollouts.length });
    const ended = step === first ? data.watch(candidates) : undefined;
    if (data.evaluate && (ended || isEvaluationStep(step + 1, totalSteps, data.evalSteps))) Object.assign(values, await data.evaluate());
    const { tokens, rows } = countTokens(answers, data.prompts, 1);
    // a round's sampling is spread over its steps, so that its first one does not look slow
    const sampled = candidates.rollouts.length / stepsOfRound / answers.length;
    yield { step: step + 1, values, tokens, computedTokens: Math.round(computedTokens * (1 + sampled)), computed: { rows, forwards: sampled }, ended };
    if (ended) return;
  }
}

/** Which answers are kept, in order. One that was cut at its most tokens is not: it would teach not to end. Of equal scores the earlier is the better. */
export function selectAnswers({ rollouts, scores }: Judged, numGenerations: number, { keep, keepFraction, scoreThreshold }: RejectionOptions): number[] {
  const fit = [...rollouts.keys()].filter((i) => rollouts[i].finished && (scoreThreshold === null || scores[i] >= scoreThreshold));
  const fits = new Set(fit);
  const better = (a: number, b: number) => scores[b] - scores[a] || a - b;
  if (keep === 'fraction') return fit.sort(better).slice(0, Math.max(1, Math.round(keepFraction * rollouts.length))).sort((a, b) => a - b);
  return microBatches([...rollouts.keys()], numGenerations).flatMap((group) => group.filter((i) => fits.has(i)).sort(better).slice(0, 1));
}

/** The part of a round's answers that its step `index` of `steps` trains on: all of them in equal parts, and where they are fewer than steps, one each in turn. */
function dealt(kept: Rollout[], index: number, steps: number): Rollout[] {
  if (kept.length < steps) return [kept[index % kept.length]];
  return kept.slice(Math.floor((index * kept.length) / steps), Math.floor(((index + 1) * kept.length) / steps));
}
