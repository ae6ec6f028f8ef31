/**
 * The methods a report can hold against each other: a line each, naming its recipe in resources/recipes/. Whatever else a recipe names that
 * another recipe there makes (attune-sft, a reward model) is trained first, once for all.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { mapOtherModels, type Recipe, ROWS_OF } from '../../shared/recipe.ts';
import type { ReportEntry, ReportSettings } from '../../shared/method-report.ts';
import { RESOURCES } from '../paths.ts';
import { readRecipe } from '../runs/recipe-file.ts';
import { UserError } from '../user-error.ts';

/** `models`: held in memory at once while it trains, references, rewards and values too. DPO's reference is gone before its first step. */
export const REPORT_METHODS: { method: string; recipe: string; models: number }[] = [
  { method: 'sft', recipe: 'sft.yaml', models: 1 },
  { method: 'dpo', recipe: 'dpo.yaml', models: 1 },
  { method: 'rejection', recipe: 'rejection.yaml', models: 1 },
  { method: 'ppo', recipe: 'ppo.yaml', models: 3 },
  { method: 'grpo', recipe: 'grpo.yaml', models: 2 },
  { method: 'rloo', recipe: 'rloo.yaml', models: 2 },
];

const FOLDER = join(RESOURCES, 'recipes');

export type PlannedMethod = Pick<ReportEntry, 'method' | 'needs' | 'models'> & { recipe: Recipe };

/** In the order they are trained in: SFT first, and what a method stands on before it. */
export function planMethods({ methods }: Pick<ReportSettings, 'methods'>): PlannedMethod[] {
  const known = REPORT_METHODS.map(({ method }) => method);
  const unknown = methods.find((method) => !known.includes(method));
  if (unknown !== undefined) throw new UserError(`${unknown}: no method of reports; there is ${known.join(', ')}`);
  const makers = new Map<string, string>();
  for (const file of readdirSync(FOLDER)) {
    const recipe = readRecipe(join(FOLDER, file));
    if (recipe.name && recipe.method !== 'pretrain') makers.set(recipe.name, file);
  }
  const planned: PlannedMethod[] = [];
  const add = (file: string): string => {
    const line = REPORT_METHODS.find(({ recipe }) => recipe === file) ?? { method: file.replace(/\.yaml$/, ''), models: 1 };
    if (planned.some(({ method }) => method === line.method)) return line.method;
    const recipe = readRecipe(join(FOLDER, file));
    const needs = modelsOf(recipe).flatMap((model) => (makers.has(model) ? [add(makers.get(model)!)] : []));
    planned.push({ method: line.method, models: line.models, needs, recipe });
    return line.method;
  };
  for (const method of ['sft', ...methods]) add(REPORT_METHODS.find((line) => line.method === method)!.recipe);
  return planned;
}

/** The recipe on the report's base and data. `modelOf`: the library's name of what a recipe of this report made. */
export function recipeFor({ method, recipe }: PlannedMethod, settings: ReportSettings, modelOf: (recipeName: string) => string | null): Recipe {
  const { model, instructions, preferences, maxSteps, name } = settings;
  return {
    ...mapOtherModels(recipe, (other) => modelOf(other) ?? other),
    name: `${name}-${method}`,
    model: modelOf(recipe.model) ?? model,
    dataset: ['texts', 'prompts'].includes(ROWS_OF[recipe.method]) ? instructions : preferences,
    evalSamples: 0, // the report asks its own prompts
    ...(maxSteps > 0 ? { maxSteps } : {}),
  };
}

function modelsOf(recipe: Recipe): string[] {
  const named = [recipe.model];
  mapOtherModels(recipe, (model) => {
    named.push(model);
    return model;
  });
  return named;
}
