/** Training on the model's own answers, sampled and scored as it goes: GRPO, RLOO, PPO, rejection sampling. Names and defaults are TRL's where it has them. */
import { z } from 'zod';
import { common } from './common.ts';
import { Reward } from './rewards.ts';

/** What is sampled and how it is judged. */
const sampled = {
  rewards: z.array(Reward).min(1).describe('what answers are scored by, added up by weight'),
  goldReward: Reward.nullable().default(null).describe('scored and drawn beside the reward, never trained on; the best checkpoint is chosen by it'),
  goldLimit: z.number().gt(0).nullable().default(null).describe('stop when gold (mean of ten steps; of a round) falls this far behind its best; null never stops'),
  stopWhenGamed: z.boolean().default(false).describe('stop when the reward climbs while gold falls; otherwise that is only told'),
  maxCompletionLength: z.int().min(1).default(256).describe('tokens an answer may have'),
  temperature: z.number().gt(0).max(10).default(1).describe('of sampling; log-probs are the model’s own, at 1'),
};

/** A step's answers are whole groups. */
const wholeGroups = ({ perDeviceTrainBatchSize, gradientAccumulationSteps, numGenerations }: Record<'perDeviceTrainBatchSize' | 'gradientAccumulationSteps' | 'numGenerations', number>) =>
  (perDeviceTrainBatchSize * gradientAccumulationSteps) % numGenerations === 0;
const notWhole = { path: ['numGenerations'], error: 'must divide perDeviceTrainBatchSize · gradientAccumulationSteps: both count answers' };

/** `perDeviceTrainBatchSize` counts answers here, as in TRL. */
const groups = {
  ...common,
  ...sampled,
  klBudget: z.number().gt(0).nullable().default(null).describe('stop when the KL from the reference, per answer, passes this; null never stops'),
  numIterations: z.int().min(1).default(1).describe('steps taken on each batch of answers'),
  epsilon: z.number().gt(0).default(0.2).describe('the ratio of new to old probability counts from 1 − epsilon …'),
  epsilonHigh: z.number().gt(0).nullable().default(null).describe('… to 1 + epsilonHigh; null is epsilon'),
  referenceModel: z.string().optional().describe('frozen reference; by default the base model as it starts'),
  maskTruncatedCompletions: z.boolean().default(false).describe('answers cut at maxCompletionLength carry no loss'),
};

export const GrpoRecipe = z.strictObject({
  method: z.literal('grpo'),
  ...groups,
  numGenerations: z.int().min(2).default(8).describe('answers to one prompt, judged against each other'),
  beta: z.number().min(0).default(0).describe('weight of the KL from the reference in the loss; 0 needs no reference'),
  lossType: z.enum(['grpo', 'bnpo', 'dr_grpo', 'dapo']).default('dapo').describe('what the sum over tokens is divided by'),
  scaleRewards: z.enum(['group', 'batch', 'none']).default('group').describe('advantages are divided by the deviation of this'),
  useBiasCorrectionKl: z.boolean().default(true).describe('weigh the KL term by the ratio too'),
}).refine(wholeGroups, notWhole);
export type GrpoRecipe = z.infer<typeof GrpoRecipe>;

export const RlooRecipe = z.strictObject({
  method: z.literal('rloo'),
  ...groups,
  numGenerations: z.int().min(2).default(2).describe('answers to one prompt, each judged against the mean of the others'),
  beta: z.number().min(0).default(0.05).describe('weight of the KL from the reference in the reward'),
  normalizeAdvantages: z.boolean().default(false).describe('to mean 0 and deviation 1 over the step'),
}).refine(wholeGroups, notWhole);
export type RlooRecipe = z.infer<typeof RlooRecipe>;

export const PpoRecipe = z.strictObject({
  method: z.literal('ppo'),
  ...common,
  ...sampled,
  klBudget: z.number().gt(0).nullable().default(null).describe('stop when the KL from the reference, per answer, passes this; null never stops'),
  klCoef: z.number().min(0).default(0.05).describe('price of the KL from the reference, taken off every token’s reward'),
  klEstimator: z.enum(['k1', 'k3']).default('k1').describe('how a token’s KL is estimated'),
  targetKl: z.number().gt(0).nullable().default(null).describe('adapts klCoef to hold this KL, per answer; null keeps it fixed'),
  klHorizon: z.number().gt(0).default(10_000).describe('answers over which klCoef adapts; read with targetKl'),
  missingEosPenalty: z.number().min(0).nullable().default(null).describe('taken off the score of an answer that does not end in time'),
  whitenRewards: z.boolean().default(false).describe('rewards of tokens to deviation 1 over the step'),
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards'),
  lam: z.number().min(0).max(1).default(0.95).describe('lambda of the advantage estimate: 1 trusts rewards, 0 trusts values'),
  cliprange: z.number().gt(0).default(0.2).describe('the ratio of new to old probability counts this far from 1'),
  cliprangeValue: z.number().gt(0).default(0.2).describe('a new value counts this far from the old one'),
  vfCoef: z.number().min(0).default(0.1).describe('weight of the value loss'),
  numPpoEpochs: z.int().min(1).default(4).describe('passes over each batch of answers'),
  numMiniBatches: z.int().min(1).default(1).describe('a step has so many optimiser steps a pass, of perDeviceTrainBatchSize · gradientAccumulationSteps answers each'),
  referenceModel: z.string().optional().describe('frozen reference; by default the base model as it starts'),
  valueModel: z.string().optional().describe('reward model that the value model starts from; by default the base model with a new head'),
});
export type PpoRecipe = z.infer<typeof PpoRecipe>;

export const RejectionRecipe = z.strictObject({
  method: z.literal('rejection'),
  ...common,
  ...sampled,
  numGenerations: z.int().min(1).default(4).describe('answers to one prompt, of which the best is kept'),
  rounds: z.int().min(1).default(1).describe('the steps in so many parts: each samples anew from the model as it is by then'),
  keep: z.enum(['best', 'fraction']).default('best').describe('of every prompt the best answer, or of all answers the best share'),
  keepFraction: z.number().gt(0).max(1).default(0.25).describe('that share; read with keep: fraction'),
  scoreThreshold: z.number().nullable().default(null).describe('answers that score less are never kept'),
});
export type RejectionRecipe = z.infer<typeof RejectionRecipe>;
