/** Training on preferences with a loss of their own: DPO. */
import { z } from 'zod';
import { common } from './common.ts';

export const DpoRecipe = z.strictObject({
  method: z.literal('dpo'),
  ...common,
  beta: z.number().gt(0).default(0.1).describe('strength of the pull to the reference; 0.01 to 0.5'),
  lossType: z.enum(['sigmoid', 'ipo']).default('sigmoid').describe('DPO or IPO'),
  labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('share of labels taken to be flipped (cDPO)'),
  referenceModel: z.string().optional().describe('frozen reference; by default the base model as it starts'),
});
export type DpoRecipe = z.infer<typeof DpoRecipe>;
