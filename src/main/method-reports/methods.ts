/**
 * What a report trains, in order: the recipe of each method in resources/recipes/ and, once for all, what a recipe names that another recipe there
 * makes: attune-sft, the reward models.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ReportEntry, ReportPart, type ReportSettings } from '../../shared/method-report.ts';
import { mapOtherModels, modelsInMemory, type Recipe, ROWS_OF } from '../../shared/recipe.ts';
import { RESOURCES } from '../paths.ts';
import { readRecipe } from '../runs/recipe-file.ts';

const FOLDER = join(RESOURCES, 'recipes');

export type PlannedMethod = Pick<ReportEntry, 'method' | 'needs' | 'models'> & { recipe: Recipe };

/** What a method stands on comes before it; SFT is always one, and so is what judges. */
export function planMethods({ methods, judge }: Pick<ReportSettings, 'methods' | 'judge'>): PlannedMethod[] {
  const makers = new Map<string, ReportPart>();
  for (const file of readdirSync(FOLDER)) {
    const part = ReportPart.safeParse(basename(file, '.yaml'));
    if (part.success) makers.set(readRecipe(join(FOLDER, file)).name!, part.data);
  }
  const planned: PlannedMethod[] = [];
  const add = (method: ReportPart): ReportPart => {
    if (planned.some((one) => one.method === method)) return method;
    const recipe = readRecipe(join(FOLDER, `${method}.yaml`));
    const needs = modelsOf(recipe).flatMap((model) => (makers.has(model) ? [add(makers.get(model)!)] : []));
    planned.push({ method, models: modelsInMemory(recipe).length, needs, recipe });
    return method;
  };
  for (const method of ['sft' as const, ...(judge === 'gold' ? ['gold' as const] : []), ...methods]) add(method);
  return planned;
}

/** Reward models answer nothing: they are trained first, and only what they take is told. */
export function isScorer(method: ReportPart): method is 'reward' | 'gold' {
  return method === 'reward' || method === 'gold';
}

/** Scorers and what they stand on before the others, so that every answer can be scored as soon as it is there. */
export function scorersFirst(planned: PlannedMethod[]): PlannedMethod[] {
  const early = new Set<ReportPart>();
  const take = (method: ReportPart): void => {
    early.add(method);
    planned.find((one) => one.method === method)?.needs.forEach(take);
  };
  for (const { method } of planned) if (isScorer(method)) take(method);
  return [...planned.filter(({ method }) => early.has(method)), ...planned.filter(({ method }) => !early.has(method))];
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
