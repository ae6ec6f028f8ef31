/**
 * Direct preference optimisation: pairs of answers to one prompt, the policy against a frozen reference whose log-probs were computed once.
 * Follows TRL's DPOTrainer in names and arithmetic; the loss is losses/dpo.ts, the steps are preference.ts's.
 * Not here: where the reference log-probs come from between sessions (methods/reference.ts keeps them in the run's folder).
 */
import { packPreferences, type PreferenceSequences } from '../data/pack.ts';
import { dpoLoss, type DpoOptions } from '../losses/dpo.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { evaluatePairs, type PairData, type PairObjective, trainOnPairs } from './preference.ts';
import { type StepReport, sumBySequence, type Training } from './training.ts';

/** Reference log-probs, two a pair: [chosen₀, rejected₀, chosen₁, …] */
export type ReferenceLogprobs = Float64Array;

export type DpoData = PairData & { trainReference: ReferenceLogprobs; validationReference: ReferenceLogprobs };

export function dpo(training: Training, data: DpoData, options: DpoOptions): AsyncGenerator<StepReport, void, void> {
  return trainOnPairs(training, data, { train: against(data.trainReference, options), validation: against(data.validationReference, options), promptLoss: false });
}

/** DPO's loss and reward metrics over held-out pairs, no gradient. */
export function evaluateDpo(
  model: LanguageModel,
  rows: PreferenceSequences[],
  reference: ReferenceLogprobs,
  batchSize: number,
  options: DpoOptions,
): Promise<Record<string, number>> {
  return evaluatePairs(model, rows, batchSize, against(reference, options));
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

function against(reference: ReferenceLogprobs, options: DpoOptions): PairObjective {
  return (pairs, rows, totals) => {
    const refChosenLogps = Float64Array.from(rows, (row) => reference[2 * row]);
    const refRejectedLogps = Float64Array.from(rows, (row) => reference[2 * row + 1]);
    return dpoLoss({ ...pairs, refChosenLogps, refRejectedLogps }, totals, options);
  };
}
