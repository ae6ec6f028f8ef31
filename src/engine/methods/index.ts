/** Every method by its name in the recipe. */
import type { Recipe } from '../../shared/recipe.ts';
import { prepareClassify } from './classify.ts';
import { prepareDpo } from './dpo.ts';
import { prepareGrpo } from './grpo.ts';
import { prepareKto } from './kto.ts';
import type { Method, MethodContext, PreparedMethod } from './method.ts';
import { preparePairs } from './pairs.ts';
import { prepareReward } from './reward.ts';
import { preparePpo } from './ppo.ts';
import { prepareRejection } from './rejection.ts';
import { prepareRloo } from './rloo.ts';
import { prepareSft } from './sft.ts';

const METHODS: { [Name in Recipe['method']]: Method<Extract<Recipe, { method: Name }>> } = {
  pretrain: prepareSft,
  sft: prepareSft,
  dpo: prepareDpo,
  reward: prepareReward,
  classify: prepareClassify,
  grpo: prepareGrpo,
  rloo: prepareRloo,
  ppo: preparePpo,
  rejection: prepareRejection,
  cpo: preparePairs,
  orpo: preparePairs,
  kto: prepareKto,
};

export function prepareMethod(context: MethodContext): Promise<PreparedMethod> {
  return (METHODS[context.job.recipe.method] as Method<Recipe>)(context);
}
