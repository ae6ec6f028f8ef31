/**
 * What every algorithm shares: the state it trains, the end of an optimiser step, and what it yields at that boundary.
 * Not a base class: an algorithm is one generator, top to bottom; run.ts pulls it and logs, pauses, stops and checkpoints between steps.
 */
import type { RowLengths } from '../../shared/job.ts';
import type { Optimizer } from '../../shared/recipe.ts';
import type { RunReport } from '../../shared/reports.ts';
import type { StepPlan } from '../data/plan.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { AdamW } from '../optim/adamw.ts';
import { clipScale } from '../optim/clip.ts';
import { learningRateAt } from '../optim/schedule.ts';

export type Training = {
  model: LanguageModel;
  adamw: AdamW;
  settings: Optimizer;
  totalSteps: number;
  /** Steps already done, 0 on a fresh run. */
  startStep: number;
  seed: number;
  /** numbers of the method's own that a resumed run goes on from; kept in every checkpoint */
  carried?: Record<string, number>;
  /** the checkpoint the run goes on from */
  checkpoint?: string;
  /** a second model trained beside the first, with its optimiser: set by the method, kept in every checkpoint */
  critic?: { model: LanguageModel; adamw: AdamW };
};

/** Yielded after each optimiser step; `step` counts from 1. `values` bear TRL's metric names. */
export type StepReport = {
  step: number;
  values: Record<string, number>;
  /** tokens of the step's sequences as TRL counts num_tokens: a prompt shared by two answers counts twice */
  tokens: number;
  /** tokens the model really computed, for tokens/s: a shared prompt counts once */
  computedTokens: number;
  /** Of an evaluation that found more than numbers. */
  evaluation?: RunReport;
  /** where a step's rows are known only after it (answers are sampled): what it computed, and forward passes of each besides the one trained on */
  computed?: { rows: RowLengths[]; forwards: number };
  /** why this step is the last one before the plan's end, one sentence */
  ended?: string;
};

/** Rows of a step. */
export const rowCount = (plan: StepPlan): number => plan.reduce((sum, rows) => sum + rows.length, 0);

/**
 * Clips the gathered gradients to maxGradNorm, takes the AdamW step and clears them. `step` counts from 0. aux_loss, of a mixture of experts,
 * is the routers' load balancing loss before its coefficient; it was trained with, and the method's own loss is told without it.
 */
export async function optimizerStep(training: Training, step: number): Promise<{ grad_norm: number; learning_rate: number; aux_loss?: number }> {
  const { model, adamw, settings } = training;
  const norm = await adamw.gradNorm();
  if (!Number.isFinite(norm)) {
    throw new Error(`step ${step + 1}: the gradient is ${norm}; the run has diverged: lower optimizer.learningRate or branch from an earlier checkpoint`);
  }
  const learningRate = learningRateAt(step, training.totalSteps, settings);
  adamw.step(learningRate, clipScale(norm, settings.maxGradNorm));
  const auxLoss = model.auxLoss();
  model.zeroGrad();
  return { grad_norm: norm, learning_rate: learningRate, ...(auxLoss === null ? {} : { aux_loss: auxLoss }) };
}

/** Sums a per-site array over each of a batch's sequences, in f64 and in order. */
export function sumBySequence(values: Float32Array, sequences: Int32Array, sequenceCount: number): Float64Array {
  const sums = new Float64Array(sequenceCount);
  for (let m = 0; m < values.length; m++) sums[sequences[m]] += values[m];
  return sums;
}

/** What the best checkpoint is chosen by, lower is better, or null where a step was not evaluated: its loss, or what sampled answers are worth. */
export function judgement(values: Record<string, number>): number | null {
  if ('eval_loss' in values) return values.eval_loss;
  const worth = values.eval_gold ?? values.eval_reward;
  return worth === undefined ? null : -worth;
}

/** True at the last step and at every `evalSteps`-th. `step` counts from 1. */
export function isEvaluationStep(step: number, totalSteps: number, evalSteps: number): boolean {
  return step === totalSteps || (evalSteps > 0 && step % evalSteps === 0);
}
