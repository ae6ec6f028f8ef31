/**
 * Direct preference optimisation: pairs of answers to one prompt, the policy against a frozen reference whose log-probs were computed once.
 * A pair's prompt is computed once for both answers (shared prefix). Follows TRL's DPOTrainer in names and arithmetic; the loss is losses/dpo.ts.
 * Not here: where the reference log-probs come from between sessions (run.ts keeps them in the run's folder).
 */
import type { Batch } from '../data/batch.ts';
import { packPreferences, type PreferenceSequences } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import { dpoLoss, type DpoPairs } from '../losses/dpo.ts';
import type { Forward, LanguageModel } from '../model/language-model.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, sumBySequence, type Training } from './training.ts';

export type DpoSettings = { beta: number; lossType: 'sigmoid' | 'ipo'; labelSmoothing: number };

/** Reference log-probs, two a pair: [chosen₀, rejected₀, chosen₁, …] */
export type ReferenceLogprobs = Float64Array;

export type DpoData = {
  train: PreferenceSequences[];
  trainReference: ReferenceLogprobs;
  steps: StepPlan[];
  validation: PreferenceSequences[];
  validationReference: ReferenceLogprobs;
  evalSteps: number;
  /** pairs a forward pass takes at once outside training */
  evalBatchSize: number;
};

export async function* dpo(training: Training, data: DpoData, settings: DpoSettings): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const stepPairs = plan.reduce((count, rows) => count + rows.length, 0);
    const metrics = new PairMetrics();
    let loss = 0;
    let tokens = 0;
    let computedTokens = 0;
    for (const [i, rows] of plan.entries()) {
      const batch = packPreferences(Array.from(rows, (row) => data.train[row]));
      model.dropoutSeed = dropoutSeed(seed, step, i);
      const forward = await model.forward(batch, { gradient: true, entropy: true, best: true });
      const pairs = pairLogprobs(forward.logprobs, batch, rows, data.trainReference);
      const share = dpoLoss(pairs, stepPairs, settings);
      const dlogprobs = new Float32Array(batch.targets.length);
      for (let m = 0; m < dlogprobs.length; m++) {
        const sequence = batch.sequences[m];
        dlogprobs[m] = sequence % 2 === 0 ? share.dchosen[sequence >> 1] : share.drejected[sequence >> 1];
      }
      model.backward(forward, dlogprobs);
      loss += share.loss;
      metrics.add(pairs, share.chosenRewards, share.rejectedRewards);
      metrics.addTokens(forward, batch);
      computedTokens += batch.tokens.length;
      for (const row of rows) {
        const { prompt, chosen, rejected } = data.train[row];
        tokens += 2 * prompt.length + chosen.length + rejected.length;
      }
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, ...metrics.values(), ...metrics.tokenValues() };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateDpo(model, data.validation, data.validationReference, data.evalBatchSize, settings);
      for (const [name, value] of Object.entries(evaluation)) values[`eval_${name}`] = value;
    }
    yield { step: step + 1, values, tokens, computedTokens };
  }
}

/** DPO's loss and reward metrics over held-out pairs, no gradient. */
export async function evaluateDpo(
  model: LanguageModel,
  rows: PreferenceSequences[],
  reference: ReferenceLogprobs,
  batchSize: number,
  settings: DpoSettings,
): Promise<Record<string, number>> {
  const metrics = new PairMetrics();
  let loss = 0;
  for (let start = 0; start < rows.length; start += batchSize) {
    const indices = Int32Array.from({ length: Math.min(batchSize, rows.length - start) }, (_, i) => start + i);
    const batch = packPreferences(Array.from(indices, (i) => rows[i]));
    const { logprobs } = await model.forward(batch, {});
    const pairs = pairLogprobs(logprobs, batch, indices, reference);
    const share = dpoLoss(pairs, rows.length, settings);
    loss += share.loss;
    metrics.add(pairs, share.chosenRewards, share.rejectedRewards);
  }
  return { loss, ...metrics.values() };
}

/** Sums of answer log-probs for every pair, the numbers a frozen reference contributes: [chosen₀, rejected₀, chosen₁, …]. */
export async function referenceLogprobs(model: LanguageModel, rows: PreferenceSequences[], batchSize: number): Promise<ReferenceLogprobs> {
  const result = new Float64Array(rows.length * 2);
  for (let start = 0; start < rows.length; start += batchSize) {
    const batch = packPreferences(rows.slice(start, start + batchSize));
    const { logprobs } = await model.forward(batch, {});
    result.set(sumBySequence(logprobs, batch.sequences, batch.sequenceCount), start * 2);
  }
  return result;
}

/** Splits per-site log-probs of a packed batch into per-answer sums beside their references'. `rows` says which pairs the batch holds. */
function pairLogprobs(logprobs: Float32Array, batch: Batch, rows: Int32Array, reference: ReferenceLogprobs): DpoPairs {
  const P = batch.sequenceCount / 2;
  const sums = sumBySequence(logprobs, batch.sequences, batch.sequenceCount);
  const counts = new Int32Array(batch.sequenceCount);
  for (const sequence of batch.sequences) counts[sequence]++;
  const even = (i: number) => 2 * i;
  const odd = (i: number) => 2 * i + 1;
  return {
    chosenLogps: Float64Array.from({ length: P }, (_, i) => sums[even(i)]),
    rejectedLogps: Float64Array.from({ length: P }, (_, i) => sums[odd(i)]),
    refChosenLogps: Float64Array.from({ length: P }, (_, i) => reference[even(rows[i])]),
    refRejectedLogps: Float64Array.from({ length: P }, (_, i) => reference[odd(rows[i])]),
    chosenTokens: Int32Array.from({ length: P }, (_, i) => counts[even(i)]),
    rejectedTokens: Int32Array.from({ length: P }, (_, i) => counts[odd(i)]),
  };
}

/** Running means under TRL's names: `values` over pairs, `tokenValues` over answer tokens. */
class PairMetrics {
  private pairs = 0;
  private sums = { chosen: 0, rejected: 0, accurate: 0, chosenLogps: 0, rejectedLogps: 0 };
  private tokens = 0;
  private entropy = 0;
  private chosenTokens = 0;
  private correct = 0;

  add(pairs: DpoPairs, chosenRewards: Float64Array, rejectedRewards: Float64Array): void {
    for (let i = 0; i < chosenRewards.length; i++) {
      this.sums.chosen += chosenRewards[i];
      this.sums.rejected += rejectedRewards[i];
      this.sums.accurate += chosenRewards[i] > rejectedRewards[i] ? 1 : 0;
      this.sums.chosenLogps += pairs.chosenLogps[i];
      this.sums.rejectedLogps += pairs.rejectedLogps[i];
    }
    this.pairs += chosenRewards.length;
  }

  addTokens(forward: Forward, batch: Batch): void {
    for (let m = 0; m < batch.targets.length; m++) {
      this.tokens++;
      this.entropy += forward.entropy![m];
      if (batch.sequences[m] % 2 === 1) continue; // TRL measures accuracy on the chosen answers only
      this.chosenTokens++;
      if (forward.best![m] === batch.targets[m]) this.correct++;
    }
  }

  values(): Record<string, number> {
    const { chosen, rejected, accurate, chosenLogps, rejectedLogps } = this.sums;
    return {
      'rewards/chosen': chosen / this.pairs,
      'rewards/rejected': rejected / this.pairs,
      'rewards/accuracies': accurate / this.pairs,
      'rewards/margins': (chosen - rejected) / this.pairs,
      'logps/chosen': chosenLogps / this.pairs,
      'logps/rejected': rejectedLogps / this.pairs,
    };
  }

  tokenValues(): Record<string, number> {
    return { mean_token_accuracy: this.correct / this.chosenTokens, entropy: this.entropy / this.tokens };
  }
}
