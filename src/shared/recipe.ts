/**
 * A run's recipe: one file from which the run can be repeated. Default, range and one-line help of every field stand once, in recipes/;
 * the form, the validator and `attune train --help` are these objects. Names are TRL's and PEFT's in camelCase.
 * Model and dataset fields name library entries or folders/files; main resolves them before the engine sees the recipe.
 */
import { z } from 'zod';
import type { DatasetKind } from './dataset.ts';
import { DpoRecipe } from './recipes/preferences.ts';
import { ClassifyRecipe, RewardRecipe } from './recipes/scoring.ts';
import { PretrainRecipe, SftRecipe } from './recipes/supervised.ts';

export { Lora, Optimizer } from './recipes/common.ts';
export { DpoRecipe } from './recipes/preferences.ts';
export { ClassifyRecipe, RewardRecipe } from './recipes/scoring.ts';
export { PretrainRecipe, SftRecipe } from './recipes/supervised.ts';

export const Recipe = z.discriminatedUnion('method', [PretrainRecipe, SftRecipe, DpoRecipe, RewardRecipe, ClassifyRecipe]);
export type Recipe = z.infer<typeof Recipe>;

/** What rows a method trains on: texts with answers in them, pairs of answers, pairs or rankings of answers, or texts with a label. */
export const ROWS_OF: Record<Recipe['method'], 'texts' | 'pairs' | 'rankings' | 'labels'> = {
  pretrain: 'texts', sft: 'texts', dpo: 'pairs', reward: 'rankings', classify: 'labels',
};

/** Whether a dataset of that kind can train the method. */
export function fitsMethod(kind: DatasetKind, method: Recipe['method']): boolean {
  const wanted = ROWS_OF[method];
  if (wanted === 'texts') return kind === 'examples';
  if (wanted === 'rankings') return kind === 'rankings' || kind === 'preferences';
  return kind === (wanted === 'pairs' ? 'preferences' : 'labels');
}

/** Tokens of a micro-batch where batches are filled by tokens; null where they are by rows. */
export function maxBatchTokens(recipe: Recipe): number | null {
  const packed = recipe.method === 'pretrain' || (recipe.method === 'sft' && recipe.packing);
  return packed ? recipe.perDeviceTrainBatchSize * recipe.maxLength : null;
}

/** The recipe with every model it names besides its base put as `rename` says: frozen references, rewards. */
export function mapOtherModels(recipe: Recipe, rename: (model: string) => string): Recipe {
  if (recipe.method === 'dpo' && recipe.referenceModel) return { ...recipe, referenceModel: rename(recipe.referenceModel) };
  return recipe;
}
