/** RLOO: prompts, rewards and the sampling of answers, for algorithms/rloo.ts. */
import type { RlooRecipe } from '../../shared/recipe.ts';
import { rloo } from '../algorithms/rloo.ts';
import { plannedLengths } from '../rollouts/cost.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { openOnline, preparePrompts } from './online.ts';

export async function prepareRloo(context: MethodContext<RlooRecipe>): Promise<PreparedMethod> {
  const { recipe, train } = context.job;
  const prompts = await preparePrompts(context, train);
  return {
    lengths: prompts.map(({ tokens }) => plannedLengths(tokens.length, recipe)),
    async start(training, steps) {
      const wantsReference = recipe.beta > 0 || recipe.klBudget !== null;
      return rloo(training, await openOnline(context, training, steps, prompts, wantsReference), recipe);
    },
  };
}
