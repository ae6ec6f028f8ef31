/**
 * Texts a recipe can start from: the recipes shipped with the workbench, and an earlier run's. The shipped ones name files of the source tree; what
 * the library has in their place is put there instead.
 */
import classify from '../../../../resources/recipes/classify.yaml?raw';
import cpo from '../../../../resources/recipes/cpo.yaml?raw';
import dpo from '../../../../resources/recipes/dpo.yaml?raw';
import grpo from '../../../../resources/recipes/grpo.yaml?raw';
import kto from '../../../../resources/recipes/kto.yaml?raw';
import orpo from '../../../../resources/recipes/orpo.yaml?raw';
import ppo from '../../../../resources/recipes/ppo.yaml?raw';
import rejection from '../../../../resources/recipes/rejection.yaml?raw';
import reward from '../../../../resources/recipes/reward.yaml?raw';
import rloo from '../../../../resources/recipes/rloo.yaml?raw';
import sft from '../../../../resources/recipes/sft.yaml?raw';
import type { DatasetSummary } from '../../../shared/api/datasets.ts';
import type { ModelSummary } from '../../../shared/api/models.ts';
import type { Recipe } from '../../../shared/recipe.ts';
import { fits } from './draft.svelte.ts';
import { fieldsOf, type Method } from './fields.ts';
import { readText, same, setField, topLevel, unsetField, valueAt } from './recipe-text.ts';

export const SHIPPED = { sft, dpo, cpo, orpo, kto, reward, classify, grpo, rloo, ppo, rejection } satisfies Partial<Record<Method, string>>;

export function shippedRecipe(method: keyof typeof SHIPPED, models: ModelSummary[], datasets: DatasetSummary[]): string {
  const order = topLevel(fieldsOf(method));
  const { model } = readText(SHIPPED[method]).value as { model: string };
  const name = model.split('/').at(-1)!;
  const known = { name: undefined, model: models.find((candidate) => candidate.name === name)?.name, dataset: datasets.find((dataset) => fits(dataset, method))?.name };
  let text: string = SHIPPED[method];
  for (const [field, value] of Object.entries(known)) text = value === undefined ? unsetField(text, [field]) : setField(text, [field], value, order);
  return text;
}

/** The settings of a run that differ from their defaults; its name stays its own. */
export function recipeOfRun(recipe: Recipe): string {
  const fields = fieldsOf(recipe.method);
  const order = topLevel(fields);
  let text = `method: ${recipe.method}\n`;
  for (const field of fields) {
    const value = valueAt(recipe, field.path);
    if (field.key === 'name' || value === undefined || same(value, field.standard)) continue;
    text = setField(text, field.path, field.kind === 'group' ? {} : value, order);
  }
  return text;
}
