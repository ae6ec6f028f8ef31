/** Rewards of a recipe that is being written, tried on one answer: names resolved, the engine asked. Of a run's own answers, sampled-answers.ts tells. */
import type { Template } from '../../shared/dataset.ts';
import type { ModelPath } from '../../shared/job.ts';
import type { TryRewardsResult } from '../../shared/job-results.ts';
import type { Reward } from '../../shared/recipes/rewards.ts';
import { askEngine } from '../engine.ts';
import { resolveModel } from '../models/index.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';

export async function tryRewards(
  { library }: Workbench,
  { model, ...wanted }: { model: string; template: Template; rewards: Reward[]; prompt: string; completion: string; expected: string | null },
): Promise<TryRewardsResult> {
  const models: Record<string, ModelPath> = {};
  for (const reward of wanted.rewards) if (reward.type === 'model') models[reward.model] = resolveModel(library, reward.model).path;
  try {
    return await askEngine<TryRewardsResult>({ type: 'try-rewards', device: 'native', threads: 0, model: resolveModel(library, model).path, models, ...wanted });
  } catch (error) {
    // what code or a pattern does is the person's to mend
    throw new UserError((error as Error).message);
  }
}
