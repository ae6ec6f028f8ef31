/** Rejection sampling: prompts, rewards and the sampling of candidates, for algorithms/rejection.ts. */
import type { RejectionRecipe } from '../../shared/recipe.ts';
import { rejection } from '../algorithms/rejection.ts';
import { plannedLengths } from '../rollouts/cost.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { openOnline, preparePrompts } from './online.ts';

export async function prepareRejection(context: MethodContext<RejectionRecipe>): Promise<PreparedMethod> {
  const { recipe, train } = context.job;
  const prompts = await preparePrompts(context, train);
  return {
    lengths: prompts.map(({ tokens }) => plannedLengths(tokens.length, recipe)),
    start: async (training, steps) => rejection(training, await openOnline(context, training, steps, prompts, false), recipe),
  };
}
