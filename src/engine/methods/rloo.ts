/** RLOO: prompts, rewards and the sampling of answers, for algorithms/rloo.ts. */
import type { RlooRecipe } from '../../shared/recipe.ts';
import { rloo } from '../algorithms/rloo.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { prepareOnline } from './online.ts';

export function prepareRloo(context: MethodContext<RlooRecipe>): Promise<PreparedMethod> {
  return prepareOnline(context, (training, data) => rloo(training, data, context.job.recipe));
}
