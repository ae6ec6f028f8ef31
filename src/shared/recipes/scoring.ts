/** Training a score head instead of a language model: reward models and classifiers. */
import { z } from 'zod';
import { common } from './common.ts';

const scoring = {
  ...common,
  maxLength: z.int().min(8).max(131072).default(1024).describe('tokens a text may have; rows with a longer one are left out and counted, since a text is scored at its end'),
};

export const RewardRecipe = z.strictObject({
  method: z.literal('reward'),
  ...scoring,
  half: z.enum(['all', 'even', 'odd']).default('all').describe('training rows by their number: reward models of two halves share no row, so one can be gold to the other'),
  centerRewardsCoefficient: z.number().min(0).default(0).describe('pulls the mean score to zero; 0 is off, 0.01 is usual'),
});
export type RewardRecipe = z.infer<typeof RewardRecipe>;

export const ClassifyRecipe = z.strictObject({
  method: z.literal('classify'),
  ...scoring,
  freezeTrunk: z.boolean().default(false).describe('train the head alone on the frozen model: a feature-based classifier'),
});
export type ClassifyRecipe = z.infer<typeof ClassifyRecipe>;
