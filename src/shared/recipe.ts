/**
 * A run's recipe: one file from which the run can be repeated. Default, range and one-line help of every field stand once, in recipes/;
 * the form, the validator and `attune train --help` are these objects. Names are TRL's and PEFT's in camelCase.
 * Model and dataset fields name library entries or folders/files; main resolves them before the engine sees the recipe.
 */
import { z } from 'zod';
import type { DatasetKind } from './dataset.ts';
import { GrpoRecipe, PpoRecipe, RejectionRecipe, RlooRecipe } from './recipes/online.ts';
import { CpoRecipe, DpoRecipe, KtoRecipe, OrpoRecipe } from './recipes/preferences.ts';
import type { Reward } from './recipes/rewards.ts';
import { ClassifyRecipe, RewardRecipe } from './recipes/scoring.ts';
import { PretrainRecipe, SftRecipe } from './recipes/supervised.ts';

export { BaseWeights, Lora, Optimizer } from './recipes/common.ts';
export { GrpoRecipe, PpoRecipe, RejectionRecipe, RlooRecipe } from './recipes/online.ts';
export { CpoRecipe, DpoRecipe, KtoRecipe, OrpoRecipe } from './recipes/preferences.ts';
export { Reward } from './recipes/rewards.ts';
export { ClassifyRecipe, RewardRecipe } from './recipes/scoring.ts';
export { PretrainRecipe, SftRecipe } from './recipes/supervised.ts';

export const Recipe = z.discriminatedUnion('method', [
  PretrainRecipe, SftRecipe, DpoRecipe, CpoRecipe, OrpoRecipe, KtoRecipe, RewardRecipe, ClassifyRecipe, GrpoRecipe, RlooRecipe, PpoRecipe, RejectionRecipe,
]);
export type Recipe = z.infer<typeof Recipe>;

/**
 * What rows a method trains on: texts with answers in them, pairs of answers, answers marked good or bad (a pair is two of them), pairs or rankings
 * of answers, texts with a label, or any that have a prompt.
 */
export const ROWS_OF: Record<Recipe['method'], 'texts' | 'pairs' | 'unpaired' | 'rankings' | 'labels' | 'prompts'> = {
  pretrain: 'texts', sft: 'texts', dpo: 'pairs', cpo: 'pairs', orpo: 'pairs', kto: 'unpaired', reward: 'rankings', classify: 'labels',
  grpo: 'prompts', rloo: 'prompts', ppo: 'prompts', rejection: 'prompts',
};

/** Whether a dataset of that kind can train the method. */
export function fitsMethod(kind: DatasetKind, method: Recipe['method']): boolean {
  const wanted = ROWS_OF[method];
  if (wanted === 'texts') return kind === 'examples';
  if (wanted === 'prompts') return kind !== 'labels';
  if (wanted === 'labels') return kind === 'labels';
  return kind === 'preferences' || kind === wanted;
}

/** Methods that train on answers they sample themselves. */
export type OnlineRecipe = GrpoRecipe | RlooRecipe | PpoRecipe | RejectionRecipe;
export function isOnline(recipe: Recipe): recipe is OnlineRecipe {
  return ROWS_OF[recipe.method] === 'prompts';
}

/** PPO samples one; the others tell. */
export function answersPerPrompt(recipe: OnlineRecipe): number {
  return recipe.method === 'ppo' ? 1 : recipe.numGenerations;
}

/** Whether a frozen reference lies beside the policy. */
export function hasReference(recipe: OnlineRecipe): boolean {
  return recipe.method === 'ppo' || (recipe.method !== 'rejection' && (recipe.beta > 0 || recipe.klBudget !== null));
}

/** Models that training holds at once, the trained one first; the others by the name the recipe has for each, undefined where it is the base once more. */
export function modelsInMemory(recipe: Recipe): { role: 'policy' | 'reference' | 'value' | 'reward'; model: string | undefined }[] {
  const policy = { role: 'policy', model: undefined } as const;
  if (!isOnline(recipe)) return [policy]; // what a reference says of rows is computed before the first step
  const rewards = [...recipe.rewards, recipe.goldReward].flatMap((reward) => (reward?.type === 'model' ? [reward.model] : []));
  return [
    policy,
    ...(hasReference(recipe) ? [{ role: 'reference', model: 'referenceModel' in recipe ? recipe.referenceModel : undefined } as const] : []),
    ...(recipe.method === 'ppo' ? [{ role: 'value', model: recipe.valueModel } as const] : []),
    ...[...new Set(rewards)].map((model) => ({ role: 'reward', model }) as const),
  ];
}

/** How rows are dealt to steps. Where batch sizes count answers in groups, a step is one batch of prompts. */
export function rowsOfStep(recipe: Recipe): { perDeviceTrainBatchSize: number; gradientAccumulationSteps: number; repeats: number } {
  const { perDeviceTrainBatchSize, gradientAccumulationSteps } = recipe;
  if (recipe.method === 'ppo') {
    const answers = perDeviceTrainBatchSize * gradientAccumulationSteps * recipe.numMiniBatches;
    return { perDeviceTrainBatchSize: answers, gradientAccumulationSteps: 1, repeats: 1 };
  }
  if (recipe.method !== 'grpo' && recipe.method !== 'rloo') return { perDeviceTrainBatchSize, gradientAccumulationSteps, repeats: 1 };
  const answers = perDeviceTrainBatchSize * gradientAccumulationSteps;
  return { perDeviceTrainBatchSize: answers / recipe.numGenerations, gradientAccumulationSteps: 1, repeats: recipe.numIterations };
}

/** Tokens of a micro-batch where batches are filled by tokens; null where they are by rows. */
export function maxBatchTokens(recipe: Recipe): number | null {
  const packed = recipe.method === 'pretrain' || (recipe.method === 'sft' && recipe.packing);
  return packed ? recipe.perDeviceTrainBatchSize * recipe.maxLength : null;
}

/** The recipe with every model it names besides its base put as `rename` says: frozen references, rewards. */
export function mapOtherModels(recipe: Recipe, rename: (model: string) => string): Recipe {
  if ((recipe.method === 'dpo' || recipe.method === 'kto') && recipe.referenceModel) return { ...recipe, referenceModel: rename(recipe.referenceModel) };
  if (!isOnline(recipe)) return recipe;
  const renamed = (reward: Reward): Reward => (reward.type === 'model' ? { ...reward, model: rename(reward.model) } : reward);
  return {
    ...recipe,
    rewards: recipe.rewards.map(renamed),
    goldReward: recipe.goldReward && renamed(recipe.goldReward),
    ...('valueModel' in recipe && recipe.valueModel && { valueModel: rename(recipe.valueModel) }),
    ...('referenceModel' in recipe && recipe.referenceModel && { referenceModel: rename(recipe.referenceModel) }),
  };
}
