/**
 * Kahneman–Tversky optimisation: answers with a thumb up or down, the policy against a frozen reference whose log-probs were computed once.
 * Follows TRL's KTOTrainer in names and arithmetic; the loss is losses/kto.ts. The KL is estimated as TRL does, from each prompt with the answer
 * of the row before it, but over the whole step rather than a micro-batch, so that accumulation equals one big batch.
 * Not here: where the reference log-probs come from (methods/kto.ts keeps them in the run's folder).
 */
import type { Batch } from '../data/batch.ts';
import { answered, packSequences, type Sequence, type UnpairedSequence } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import { klEstimate, ktoLoss, type KtoOptions, type KtoRows } from '../losses/kto.ts';
import type { Forward, LanguageModel } from '../model/language-model.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, sumBySequence, type Training } from './training.ts';

/** Sums of an answer's log-probs under the reference: of every row, and of every mismatched row in the order the steps need them. */
export type KtoReference = { rows: Float64Array; mismatched: Float64Array };

export type KtoData = {
  train: UnpairedSequence[];
  trainReference: KtoReference;
  steps: StepPlan[];
  validation: UnpairedSequence[];
  validationReference: KtoReference;
  evalSteps: number;
  /** rows a forward pass takes at once outside training */
  evalBatchSize: number;
  maxLength: number;
};

export async function* kto(training: Training, data: KtoData, options: KtoOptions): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  const sequences = data.train.map(({ prompt, completion }) => answered(prompt, completion, data.maxLength));
  let seen = data.steps.slice(0, training.startStep).reduce((sum, plan) => sum + rowsOf(plan).length, 0);
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const stepRows = rowsOf(plan);
    const { kl, computedTokens: klTokens } = await estimateKl(model, Array.from(stepRows, (row) => data.train[row]), data.trainReference.mismatched.subarray(seen), data, options, plan);
    seen += stepRows.length;

    const metrics = new LabelMetrics();
    let tokens = 0;
    for (const [i, rows] of plan.entries()) {
      const batch = packSequences(Array.from(rows, (row) => sequences[row]));
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = rows.length / stepRows.length;
      const forward = await model.forward(batch, { gradient: true, entropy: true });
      const labelled = rowLogprobs(forward.logprobs, batch, rows, data.train, data.trainReference);
      const share = ktoLoss(labelled, kl, stepRows.length, options);
      model.backward(forward, Float32Array.from(batch.sequences, (sequence) => share.dlogps[sequence]));
      metrics.add(labelled, share.loss, share.rewards, batch);
      metrics.addTokens(forward);
      tokens += batch.tokens.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { ...metrics.values(), kl, ...optimizer, ...metrics.tokenValues() };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateKto(model, data, options);
      for (const [name, value] of Object.entries(evaluation)) values[`eval_${name}`] = value;
    }
    yield { step: step + 1, values, tokens, computedTokens: tokens + klTokens };
  }
}

/** Each prompt with the answer of the row before it, the first with the last's (TRL's order). No answer stands with its own prompt but where there is one row. */
export function mismatch(rows: UnpairedSequence[], maxLength: number): Sequence[] {
  return rows.map(({ prompt }, i) => answered(prompt, rows.at(i - 1)!.completion, maxLength));
}

/** The rows' own sequences and the mismatched ones of the steps, for sequenceLogprobs under a frozen reference. */
export function referenceSequences(train: UnpairedSequence[], steps: StepPlan[], maxLength: number): { rows: Sequence[]; mismatched: Sequence[] } {
  return {
    rows: train.map(({ prompt, completion }) => answered(prompt, completion, maxLength)),
    mismatched: steps.flatMap((plan) => mismatch(Array.from(rowsOf(plan), (row) => train[row]), maxLength)),
  };
}

/** (S) sums of log-probs of each sequence's answer; no gradient. */
export async function sequenceLogprobs(model: LanguageModel, sequences: Sequence[], batchSize: number): Promise<Float64Array> {
  const result = new Float64Array(sequences.length);
  for (let start = 0; start < sequences.length; start += batchSize) {
    const batch = packSequences(sequences.slice(start, start + batchSize));
    if (batch.targets.length === 0) continue; // an answer that was cut away whole adds nothing
    const { logprobs } = await model.forward(batch, {});
    result.set(sumBySequence(logprobs, batch.sequences, batch.sequenceCount), start);
  }
  return result;
}

/** 0 for a loss without KL. In batches of the plan's size, so that it takes no more memory than training. */
async function estimateKl(
  model: LanguageModel,
  rows: UnpairedSequence[],
  reference: Float64Array,
  { maxLength }: KtoData,
  { lossType }: KtoOptions,
  plan: StepPlan,
): Promise<{ kl: number; computedTokens: number }> {
  if (lossType !== 'kto') return { kl: 0, computedTokens: 0 };
  const sequences = mismatch(rows, maxLength);
  const logps = await sequenceLogprobs(model, sequences, plan[0].length);
  return { kl: klEstimate(logps, reference.subarray(0, rows.length)), computedTokens: sequences.reduce((sum, { tokens }) => sum + tokens.length, 0) };
}

/** KTO's loss and reward metrics over held-out rows, no gradient; their KL is that of all of them. */
async function evaluateKto(model: LanguageModel, data: KtoData, options: KtoOptions): Promise<Record<string, number>> {
  const { validation, validationReference, evalBatchSize, maxLength } = data;
  const metrics = new LabelMetrics();
  const order = Int32Array.from(validation.keys());
  const { kl } = await estimateKl(model, validation, validationReference.mismatched, data, options, [order.subarray(0, evalBatchSize)]);
  for (let start = 0; start < validation.length; start += evalBatchSize) {
    const rows = order.subarray(start, start + evalBatchSize);
    const batch = packSequences(Array.from(rows, (row) => answered(validation[row].prompt, validation[row].completion, maxLength)));
    const { logprobs } = await model.forward(batch, {});
    const labelled = rowLogprobs(logprobs, batch, rows, validation, validationReference);
    const share = ktoLoss(labelled, kl, validation.length, options);
    metrics.add(labelled, share.loss, share.rewards, batch);
  }
  return { ...metrics.values(), kl };
}

const rowsOf = (plan: StepPlan): Int32Array => Int32Array.from(plan.flatMap((rows) => [...rows]));

/** `rows` says which rows of the split the batch holds. */
function rowLogprobs(logprobs: Float32Array, batch: Batch, rows: Int32Array, all: UnpairedSequence[], reference: KtoReference): KtoRows {
  return {
    logps: sumBySequence(logprobs, batch.sequences, batch.sequenceCount),
    refLogps: Float64Array.from(rows, (row) => reference.rows[row]),
    labels: Uint8Array.from(rows, (row) => (all[row].label ? 1 : 0)),
  };
}

/** Running means under TRL's names, of wanted answers as chosen, of the others as rejected; a step without either leaves theirs out. */
class LabelMetrics {
  private loss = 0;
  private readonly sides = { chosen: { rows: 0, reward: 0, logps: 0, length: 0 }, rejected: { rows: 0, reward: 0, logps: 0, length: 0 } };
  private tokens = 0;
  private entropy = 0;

  add({ logps, labels }: KtoRows, loss: number, rewards: Float64Array, batch: Batch): void {
    this.loss += loss;
    const lengths = new Int32Array(batch.sequenceCount);
    for (const sequence of batch.sequences) lengths[sequence]++;
    for (let i = 0; i < logps.length; i++) {
      const side = this.sides[labels[i] === 1 ? 'chosen' : 'rejected'];
      side.rows++;
      side.reward += rewards[i];
      side.logps += logps[i];
      side.length += lengths[i];
    }
  }

  addTokens({ entropy }: Forward): void {
    for (const value of entropy!) this.entropy += value;
    this.tokens += entropy!.length;
  }

  values(): Record<string, number> {
    const values: Record<string, number> = { loss: this.loss };
    for (const [name, { rows, reward, logps, length }] of Object.entries(this.sides)) {
      if (rows === 0) continue;
      values[`rewards/${name}`] = reward / rows;
      values[`logps/${name}`] = logps / rows;
      values[`completions/mean_length/${name}`] = length / rows;
    }
    if ('rewards/chosen' in values && 'rewards/rejected' in values) values['rewards/margins'] = values['rewards/chosen'] - values['rewards/rejected'];
    return values;
  }

  tokenValues(): Record<string, number> {
    return { entropy: this.entropy / this.tokens };
  }
}
