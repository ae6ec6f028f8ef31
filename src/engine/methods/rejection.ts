/** Rejection sampling: prompts, rewards and the sampling of candidates, for algorithms/rejection.ts. */
import type { RejectionRecipe } from '../../shared/recipe.ts';
import { rejection } from '../algorithms/rejection.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { prepareOnline } from './online.ts';

export function prepareRejection(context: MethodContext<RejectionRecipe>): Promise<PreparedMethod> {
  return prepareOnline(context, (training, data) => rejection(training, data, context.job.recipe));
}
