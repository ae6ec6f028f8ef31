/** GRPO: prompts, rewards and the sampling of answers, for algorithms/grpo.ts. */
import type { GrpoRecipe } from '../../shared/recipe.ts';
import { grpo } from '../algorithms/grpo.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { prepareOnline } from './online.ts';

export function prepareGrpo(context: MethodContext<GrpoRecipe>): Promise<PreparedMethod> {
  return prepareOnline(context, (training, data) => grpo(training, data, context.job.recipe));
}
