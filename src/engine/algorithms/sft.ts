/**
 * Supervised fine-tuning, and pretraining, which is the same arithmetic with loss on every token (pretrain rows simply mark all of them).
 * Sequences with a loss mask → forward → negative log-likelihood over the step → backward → AdamW. Follows TRL's SFTTrainer in names and normalisation.
 */
import type { Batch } from '../data/batch.ts';
import { packSequences, type Sequence } from '../data/pack.ts';
import { microBatches, type StepPlan } from '../data/plan.ts';
import { sftLoss } from '../losses/sft.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { isEvaluationStep, optimizerStep, rowCount, type StepReport, type Training } from './training.ts';

export type SftData = { train: Sequence[]; steps: StepPlan[]; validation: Sequence[]; evalSteps: number; evalTokens: number };

export async function* sft(training: Training, data: SftData): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const batches = plan.map((rows) => packSequences(Array.from(rows, (row) => data.train[row])));
    const stepTokens = batches.reduce((sum, batch) => sum + batch.targets.length, 0);
    if (stepTokens === 0) throw new Error(`step ${step + 1}: no token of its rows carries loss: raise maxLength, or look at the rows with attune show`);

    let loss = 0;
    let correct = 0;
    let entropy = 0;
    for (const [i, batch] of batches.entries()) {
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = plan[i].length / rowCount(plan);
      const forward = await model.forward(batch, { gradient: true, entropy: true, best: true });
      const share = sftLoss(forward.logprobs, stepTokens);
      model.backward(forward, share.dlogprobs);
      loss += share.loss;
      correct += countCorrect(forward.best!, batch);
      entropy += sum(forward.entropy!);
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = {
      loss,
      ...optimizer,
      mean_token_accuracy: correct / stepTokens,
      entropy: entropy / stepTokens,
    };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateSft(model, data.validation, data.evalTokens);
      values.eval_loss = evaluation.loss;
      values.eval_mean_token_accuracy = evaluation.accuracy;
      values.eval_perplexity = Math.exp(evaluation.loss);
    }
    const tokens = batches.reduce((total, batch) => total + batch.tokens.length, 0);
    yield { step: step + 1, values, tokens, computedTokens: tokens };
  }
}

/** Mean negative log-likelihood (nats per token) and top-1 accuracy over the tokens that carry loss. `maxTokens` bounds a batch. */
export async function evaluateSft(
  model: LanguageModel,
  rows: Sequence[],
  maxTokens: number,
): Promise<{ loss: number; accuracy: number; tokens: number }> {
  let total = 0;
  let correct = 0;
  let tokens = 0;
  const order = Int32Array.from(rows, (_, i) => i);
  for (const indices of microBatches(order, rows.map((row) => row.tokens.length), { perDeviceTrainBatchSize: 0, maxTokens })) {
    const batch = packSequences(Array.from(indices, (i) => rows[i]));
    if (batch.targets.length === 0) continue;
    const { logprobs, best } = await model.forward(batch, { best: true });
    total -= sum(logprobs);
    correct += countCorrect(best!, batch);
    tokens += batch.targets.length;
  }
  return { loss: total / tokens, accuracy: correct / tokens, tokens };
}

/** A number for each micro-batch of a run, so that dropout repeats exactly on resume. */
export function dropoutSeed(seed: number, step: number, microBatch: number): number {
  return (Math.imul(seed, 0x9e3779b1) + Math.imul(step, 0x85ebca6b) + microBatch) >>> 0;
}

function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function countCorrect(best: Int32Array, batch: Batch): number {
  let count = 0;
  for (let m = 0; m < best.length; m++) if (best[m] === batch.targets[m]) count++;
  return count;
}
