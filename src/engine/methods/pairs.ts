/** Methods on pairs of answers that need no reference, CPO and ORPO: rows as pairs, for algorithms/cpo.ts and algorithms/orpo.ts. */
import type { RowLengths } from '../../shared/job.ts';
import type { CpoRecipe, OrpoRecipe } from '../../shared/recipe.ts';
import { cpo } from '../algorithms/cpo.ts';
import { orpo } from '../algorithms/orpo.ts';
import type { PreferenceSequences } from '../data/pack.ts';
import { preparePreferences } from '../data/prepare.ts';
import { type MethodContext, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';

export async function preparePairs(context: MethodContext<CpoRecipe | OrpoRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  const settings = prepareSettings(context);
  const { train, validation } = await prepareSplits(context.job, (path) => preparePreferences(path, settings));
  return {
    lengths: train.map(pairLengths),
    async start(training, steps) {
      const data = { train, steps, validation, evalSteps: recipe.evalSteps, evalBatchSize: recipe.perDeviceTrainBatchSize };
      return recipe.method === 'cpo' ? cpo(training, data, recipe) : orpo(training, data, recipe);
    },
  };
}

export function pairLengths({ prompt, chosen, rejected }: PreferenceSequences): RowLengths {
  return [prompt.length, chosen.length, rejected.length];
}
