/** GRPO: prompts, rewards and the sampling of answers, for algorithms/grpo.ts. */
import type { GrpoRecipe } from '../../shared/recipe.ts';
import { grpo } from '../algorithms/grpo.ts';
import { plannedLengths } from '../rollouts/cost.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { openOnline, preparePrompts } from './online.ts';

export async function prepareGrpo(context: MethodContext<GrpoRecipe>): Promise<PreparedMethod> {
  const { recipe, train } = context.job;
  const prompts = await preparePrompts(context, train);
  return {
    lengths: prompts.map(({ tokens }) => plannedLengths(tokens.length, recipe)),
    async start(training, steps) {
      const wantsReference = recipe.beta > 0 || recipe.klBudget !== null;
      return grpo(training, await openOnline(context, training, steps, prompts, wantsReference), recipe);
    },
  };
}
