/** PPO: prompts, rewards, the sampling of answers, the frozen reference and the value model, for algorithms/ppo.ts. */
import type { PpoRecipe } from '../../shared/recipe.ts';
import { type Critic, ppo } from '../algorithms/ppo.ts';
import type { Training } from '../algorithms/training.ts';
import { readCritic } from '../checkpoint.ts';
import { REWARD_LABELS } from '../model/heads.ts';
import { onPolicyBase, openModel, trainedStorage } from '../open-model.ts';
import { createAdamW } from '../optim/adamw.ts';
import type { MethodContext, PreparedMethod } from './method.ts';
import { prepareOnline } from './online.ts';

export function preparePpo(context: MethodContext<PpoRecipe>): Promise<PreparedMethod> {
  return prepareOnline(context, async (training, data) => {
    const critic = await openCritic(context, training);
    training.critic = critic;
    return ppo(training, critic, data, context.job.recipe);
  });
}

/**
 * A model of its own, trained as the policy is: every weight, or an adapter, on the policy's own base where it has the same; its score head always.
 * A resumed run's is the checkpoint's.
 */
async function openCritic({ job, device, tokenizer }: MethodContext<PpoRecipe>, { model: policy, checkpoint }: Training): Promise<Critic> {
  const { recipe } = job;
  const path = recipe.valueModel === undefined ? job.model : job.models[recipe.valueModel];
  const { model } = await openModel(device, path, tokenizer, {
    storage: trainedStorage(recipe),
    trainable: recipe.lora ? 'lora' : 'all',
    lora: recipe.lora ?? undefined,
    shared: onPolicyBase(job, path) ? policy : undefined,
    seed: recipe.seed + 1,
    gradientCheckpointing: recipe.gradientCheckpointing,
    head: { labels: REWARD_LABELS, padTokenId: null },
  });
  const critic = { model, adamw: createAdamW(device, model.parameters, recipe.optimizer) };
  if (checkpoint) await readCritic(checkpoint, device, critic);
  return critic;
}
