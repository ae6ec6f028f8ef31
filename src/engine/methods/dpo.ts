/**
 * Direct preference optimisation: rows as pairs of answers to one prompt, and the frozen reference's log-probs of all of them,
 * computed once and kept in the run's folder, for algorithms/dpo.ts.
 */
import type { DpoRecipe } from '../../shared/recipe.ts';
import { dpo, referenceLogprobs } from '../algorithms/dpo.ts';
import { preparePreferences } from '../data/prepare.ts';
import { type MethodContext, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';
import { pairLengths } from './pairs.ts';
import { keptReference } from './reference.ts';

export async function prepareDpo(context: MethodContext<DpoRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  const settings = prepareSettings(context);
  const { train, validation } = await prepareSplits(context.job, (path) => preparePreferences(path, settings));
  return {
    lengths: train.map(pairLengths),
    async start(training, steps) {
      const all = [...train, ...validation];
      const texts = all.flatMap(({ prompt, chosen, rejected }) => [prompt, chosen, rejected]);
      const reference = await keptReference(context, training, { texts, count: 2 * all.length, rows: `${all.length} pairs` }, (model) =>
        referenceLogprobs(model, all, recipe.perDeviceTrainBatchSize),
      );
      const data = {
        train,
        trainReference: reference.subarray(0, train.length * 2),
        steps,
        validation,
        validationReference: reference.subarray(train.length * 2),
        evalSteps: recipe.evalSteps,
        evalBatchSize: recipe.perDeviceTrainBatchSize,
      };
      return dpo(training, data, recipe);
    },
  };
}
