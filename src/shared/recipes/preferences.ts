/** Training on preferences with a loss of their own: DPO and its family on pairs, KTO on single answers with a label. */
import { z } from 'zod';
import { common } from './common.ts';

const beta = z.number().gt(0).default(0.1);
const labelSmoothing = z.number().min(0).lt(0.5).default(0);
const referenceModel = z.string().optional().describe('frozen reference; by default the base model as it starts');

const DpoLossType = z.enum(['sigmoid', 'hinge', 'ipo', 'exo_pair', 'nca_pair', 'robust', 'bco_pair', 'sppo_hard', 'apo_zero', 'apo_down', 'sigmoid_norm', 'sft']);

export const DpoRecipe = z
  .strictObject({
    method: z.literal('dpo'),
    ...common,
    beta: beta.describe('strength of the pull to the reference; 0.01 to 0.5'),
    lossType: z
      .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(DpoLossType).min(1).default(['sigmoid']))
      .describe('DPO is sigmoid; a list such as [sigmoid, sft] adds several up'),
    lossWeights: z.array(z.number().min(0)).optional().describe('weight of each loss of a list; 1 each when left out'),
    labelSmoothing: labelSmoothing.describe('share of labels taken to be flipped: sigmoid (cDPO), robust; exo_pair needs about 1e-3'),
    referenceModel,
  })
  .refine(({ lossType, lossWeights }) => !lossWeights || lossWeights.length === lossType.length, {
    path: ['lossWeights'], message: 'expected as many weights as lossType has losses',
  })
  .refine(({ lossType, labelSmoothing }) => !lossType.includes('exo_pair') || labelSmoothing > 0, {
    path: ['labelSmoothing'], message: 'exo_pair needs it above 0, usually 1e-3',
  });
export type DpoRecipe = z.infer<typeof DpoRecipe>;

export const CpoRecipe = z.strictObject({
  method: z.literal('cpo'),
  ...common,
  beta: beta.describe('scale of the margin between the answers; about 0.1, and 2 to 2.5 for simpo'),
  lossType: z.enum(['sigmoid', 'hinge', 'ipo', 'simpo']).default('sigmoid').describe('CPO is sigmoid; simpo takes log-probs per token'),
  labelSmoothing: labelSmoothing.describe('share of labels taken to be flipped: sigmoid, simpo'),
  cpoAlpha: z.number().min(0).default(1).describe("weight of the chosen answers' likelihood; 0 with simpo is SimPO as published"),
  simpoGamma: z.number().min(0).default(0.5).describe('margin that simpo asks for; 0.5 to 1.6'),
});
export type CpoRecipe = z.infer<typeof CpoRecipe>;

export const OrpoRecipe = z.strictObject({
  method: z.literal('orpo'),
  ...common,
  beta: beta.describe('weight of the odds ratio beside the likelihood; 0.1 to 1'),
});
export type OrpoRecipe = z.infer<typeof OrpoRecipe>;

export const KtoRecipe = z
  .strictObject({
    method: z.literal('kto'),
    ...common,
    beta: beta.describe('strength of the pull to the reference; 0.01 to 0.5'),
    lossType: z.enum(['kto', 'apo_zero_unpaired']).default('kto').describe('KTO, or APO-zero, which estimates no KL'),
    desirableWeight: z.number().min(0).default(1).describe('weight of wanted answers; with fewer of them than of unwanted ones, more'),
    undesirableWeight: z.number().min(0).default(1).describe('weight of unwanted answers'),
    referenceModel,
  })
  .refine(({ lossType, perDeviceTrainBatchSize, gradientAccumulationSteps }) => lossType !== 'kto' || perDeviceTrainBatchSize * gradientAccumulationSteps > 1, {
    path: ['perDeviceTrainBatchSize'], message: 'kto estimates its KL from answers to the other prompts of a step: a step needs 2 rows or more',
  });
export type KtoRecipe = z.infer<typeof KtoRecipe>;
