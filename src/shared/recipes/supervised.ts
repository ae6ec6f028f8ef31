/** Training on texts: pretraining and supervised fine-tuning. */
import { z } from 'zod';
import { common } from './common.ts';

export const PretrainRecipe = z.strictObject({
  method: z.literal('pretrain'),
  ...common,
  fromScratch: z.boolean().default(false).describe("draw new weights from the model's config instead of loading its weights"),
});
export const SftRecipe = z.strictObject({
  method: z.literal('sft'),
  ...common,
  completionOnlyLoss: z.boolean().default(true).describe('only answers carry loss; false trains the prompt too'),
  packing: z.boolean().default(true).describe('batches by tokens (perDeviceTrainBatchSize · maxLength) rather than by rows; rows never see each other'),
});

export type PretrainRecipe = z.infer<typeof PretrainRecipe>;
export type SftRecipe = z.infer<typeof SftRecipe>;
