/** Supervised fine-tuning and pretraining: rows as sequences with their loss mask, for algorithms/sft.ts. */
import type { PretrainRecipe, SftRecipe } from '../../shared/recipe.ts';
import { sft } from '../algorithms/sft.ts';
import type { Sequence } from '../data/pack.ts';
import { prepareSequences } from '../data/prepare.ts';
import { type MethodContext, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';

export async function prepareSft(context: MethodContext<PretrainRecipe | SftRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  const settings = prepareSettings(context, recipe.method === 'sft' && recipe.completionOnlyLoss);
  const rows = await prepareSplits(context.job, (path) => prepareSequences(path, settings));
  const { evalSteps, perDeviceTrainBatchSize, maxLength } = recipe;
  return {
    lengths: rows.train.map(sequenceLengths),
    start: async (training, steps) => sft(training, { ...rows, steps, evalSteps, evalTokens: perDeviceTrainBatchSize * maxLength }),
  };
}

function sequenceLengths({ tokens, loss }: Sequence): [number, number] {
  return [tokens.length, loss.reduce((sum, marked) => sum + marked, 0)];
}
