/**
 * The steps of every method that trains on pairs of answers (DPO, CPO, ORPO): pairs → forward → the method's loss → backward → AdamW, and the
 * rewards and lengths of both answers beside it. A pair's prompt is computed once for both (shared prefix). Names are TRL's.
 * Not here: what a method's loss is, and the reference it may need (dpo.ts, cpo.ts, orpo.ts).
 */
import type { Batch } from '../data/batch.ts';
import { packPreferences, type PreferenceSequences } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import type { Forward, LanguageModel } from '../model/language-model.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, sumBySequence, type Training } from './training.ts';

/** (P) of a micro-batch: sums of log-probs of both answers and the tokens summed; of the prompt where the method trains on it, else empty. */
export type Pairs = {
  chosenLogps: Float64Array;
  rejectedLogps: Float64Array;
  promptLogps: Float64Array;
  chosenTokens: Int32Array;
  rejectedTokens: Int32Array;
};

/** Counts of a whole optimiser step, or of all held-out pairs. Prompts are counted without their first token, which nothing predicts. */
export type PairTotals = { pairs: number; chosenTokens: number; promptTokens: number };

export type PairLoss = {
  loss: number;
  /** (P) upstream gradient of every token of the answer */
  dchosen: Float64Array;
  drejected: Float64Array;
  /** upstream gradient of every token of the prompts, where the method trains on them */
  dprompt?: number;
  chosenRewards: Float64Array;
  rejectedRewards: Float64Array;
  /** (P) as shown under logps/…, where the method reads them otherwise than as sums */
  chosenLogps?: Float64Array;
  rejectedLogps?: Float64Array;
  /** further metrics as this micro-batch's share of the step's: they are added up */
  values?: Record<string, number>;
};

/** `rows` says which pairs of the split the micro-batch holds. */
export type PairObjective = (pairs: Pairs, rows: Int32Array, totals: PairTotals) => PairLoss;

export type PairData = {
  train: PreferenceSequences[];
  steps: StepPlan[];
  validation: PreferenceSequences[];
  evalSteps: number;
  /** pairs a forward pass takes at once outside training */
  evalBatchSize: number;
};

export type PairMethod = { train: PairObjective; validation: PairObjective; /** prompts carry loss, too */ promptLoss: boolean };

export async function* trainOnPairs(training: Training, data: PairData, method: PairMethod): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const totals = countPairs(plan.flatMap((rows) => Array.from(rows, (row) => data.train[row])));
    const metrics = new PairMetrics();
    let tokens = 0;
    let computedTokens = 0;
    for (const [i, rows] of plan.entries()) {
      const batch = packPreferences(Array.from(rows, (row) => data.train[row]), method.promptLoss);
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = rows.length / totals.pairs;
      const forward = await model.forward(batch, { gradient: true, entropy: true, best: true });
      const pairs = pairLogprobs(forward.logprobs, batch, rows.length);
      const share = method.train(pairs, rows, totals);
      model.backward(forward, spread(share, batch, rows.length));
      metrics.add(pairs, share);
      metrics.addTokens(forward, batch, rows.length);
      computedTokens += batch.tokens.length;
      for (const row of rows) {
        const { prompt, chosen, rejected } = data.train[row];
        tokens += 2 * prompt.length + chosen.length + rejected.length;
      }
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { ...metrics.values(), ...optimizer, ...metrics.tokenValues() };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluatePairs(model, data.validation, data.evalBatchSize, method.validation, method.promptLoss);
      for (const [name, value] of Object.entries(evaluation)) values[`eval_${name}`] = value;
    }
    yield { step: step + 1, values, tokens, computedTokens };
  }
}

/** Loss, rewards and lengths over held-out pairs, no gradient. */
export async function evaluatePairs(
  model: LanguageModel,
  all: PreferenceSequences[],
  batchSize: number,
  objective: PairObjective,
  promptLoss = false,
): Promise<Record<string, number>> {
  const totals = countPairs(all);
  const metrics = new PairMetrics();
  for (let start = 0; start < all.length; start += batchSize) {
    const rows = Int32Array.from({ length: Math.min(batchSize, all.length - start) }, (_, i) => start + i);
    const batch = packPreferences(Array.from(rows, (i) => all[i]), promptLoss);
    const { logprobs } = await model.forward(batch, {});
    const pairs = pairLogprobs(logprobs, batch, rows.length);
    metrics.add(pairs, objective(pairs, rows, totals));
  }
  return metrics.values();
}

function countPairs(pairs: PreferenceSequences[]): PairTotals {
  const totals: PairTotals = { pairs: pairs.length, chosenTokens: 0, promptTokens: 0 };
  for (const { prompt, chosen } of pairs) {
    totals.chosenTokens += chosen.length;
    totals.promptTokens += prompt.length - 1;
  }
  return totals;
}

/** Per-site log-probs of a packed batch of P pairs as sums of each answer, and of each prompt where its tokens are sites. */
function pairLogprobs(logprobs: Float32Array, batch: Batch, P: number): Pairs {
  const sums = sumBySequence(logprobs, batch.sequences, batch.sequenceCount);
  const counts = new Int32Array(batch.sequenceCount);
  for (const sequence of batch.sequences) counts[sequence]++;
  return {
    chosenLogps: Float64Array.from({ length: P }, (_, i) => sums[2 * i]),
    rejectedLogps: Float64Array.from({ length: P }, (_, i) => sums[2 * i + 1]),
    promptLogps: sums.slice(2 * P),
    chosenTokens: Int32Array.from({ length: P }, (_, i) => counts[2 * i]),
    rejectedTokens: Int32Array.from({ length: P }, (_, i) => counts[2 * i + 1]),
  };
}

/** The loss's gradient of each answer on every site of it. */
function spread({ dchosen, drejected, dprompt = 0 }: PairLoss, batch: Batch, P: number): Float32Array {
  return Float32Array.from(batch.sequences, (sequence) => {
    if (sequence >= 2 * P) return dprompt;
    return sequence % 2 === 0 ? dchosen[sequence >> 1] : drejected[sequence >> 1];
  });
}

/** Running means under TRL's names: `values` over pairs, `tokenValues` over answer tokens. */
class PairMetrics {
  private pairs = 0;
  private sums = { chosen: 0, rejected: 0, accurate: 0, chosenLogps: 0, rejectedLogps: 0, chosenLength: 0, rejectedLength: 0 };
  private readonly shares: Record<string, number> = { loss: 0 };
  private tokens = 0;
  private entropy = 0;
  private chosenTokens = 0;
  private correct = 0;

  add(pairs: Pairs, share: PairLoss): void {
    const { chosenRewards, rejectedRewards, chosenLogps = pairs.chosenLogps, rejectedLogps = pairs.rejectedLogps } = share;
    for (let i = 0; i < chosenRewards.length; i++) {
      this.sums.chosen += chosenRewards[i];
      this.sums.rejected += rejectedRewards[i];
      this.sums.accurate += chosenRewards[i] > rejectedRewards[i] ? 1 : 0;
      this.sums.chosenLogps += chosenLogps[i];
      this.sums.rejectedLogps += rejectedLogps[i];
      this.sums.chosenLength += pairs.chosenTokens[i];
      this.sums.rejectedLength += pairs.rejectedTokens[i];
    }
    this.pairs += chosenRewards.length;
    for (const [name, value] of Object.entries({ loss: share.loss, ...share.values })) this.shares[name] = (this.shares[name] ?? 0) + value;
  }

  /** Of both answers; a prompt's tokens, where they carry loss, are not counted. */
  addTokens(forward: Forward, batch: Batch, P: number): void {
    for (let m = 0; m < batch.targets.length && batch.sequences[m] < 2 * P; m++) {
      this.tokens++;
      this.entropy += forward.entropy![m];
      if (batch.sequences[m] % 2 === 1) continue; // TRL measures accuracy on the chosen answers only
      this.chosenTokens++;
      if (forward.best![m] === batch.targets[m]) this.correct++;
    }
  }

  values(): Record<string, number> {
    const { chosen, rejected, accurate, chosenLogps, rejectedLogps, chosenLength, rejectedLength } = this.sums;
    return {
      ...this.shares,
      'rewards/chosen': chosen / this.pairs,
      'rewards/rejected': rejected / this.pairs,
      'rewards/accuracies': accurate / this.pairs,
      'rewards/margins': (chosen - rejected) / this.pairs,
      'logps/chosen': chosenLogps / this.pairs,
      'logps/rejected': rejectedLogps / this.pairs,
      'completions/mean_length/chosen': chosenLength / this.pairs,
      'completions/mean_length/rejected': rejectedLength / this.pairs,
    };
  }

  tokenValues(): Record<string, number> {
    return { mean_token_accuracy: this.correct / this.chosenTokens, entropy: this.entropy / this.tokens };
  }
}
