/**
 * What an online method takes beyond training on rows: sampling with its cache, the passes of reference and rewards, the models that lie beside the
 * policy. How long answers will be is not known before they are sampled, so every number counts them in full: it is the most a run can take.
 */
import type { Example } from '../../shared/dataset.ts';
import type { RowLengths } from '../../shared/job.ts';
import { answersPerPrompt, hasReference, modelsInMemory, type OnlineRecipe, rowsOfStep } from '../../shared/recipe.ts';
import { countParameters, rowFlops, rowSizes, type Shapes } from '../cost.ts';
import type { TokenizeSettings } from '../data/tokenize.ts';
import { cacheBytes } from '../model/kv-cache.ts';
import { promptOf } from '../training-samples.ts';
import { rolloutCacheTokens } from './sample.ts';

/** Held-out prompts answered at an evaluation, spread over all there are. */
export const EVALUATED = 128;

/** A prompt with its answers at full length, or null where none fits; and its tokens with one answer. */
export function plannedPrompt(example: Example, settings: TokenizeSettings, recipe: OnlineRecipe): { row: RowLengths | null; whole: number } {
  try {
    const whole = promptOf(example, settings).tokens.length + recipe.maxCompletionLength;
    return { row: whole <= recipe.maxLength ? plannedLengths(whole - recipe.maxCompletionLength, recipe) : null, whole };
  } catch {
    return { row: null, whole: 0 }; // the template refuses it
  }
}

/** The row that a prompt is planned as. PPO samples one answer, and rejection sampling trains on one: told as a row with loss on its end. */
export function plannedLengths(promptTokens: number, recipe: OnlineRecipe): RowLengths {
  const { maxCompletionLength: T } = recipe;
  const trained = recipe.method === 'rejection' ? 1 : answersPerPrompt(recipe);
  return trained === 1 ? [promptTokens + T, T] : [promptTokens, ...new Array<number>(trained).fill(T)];
}

export type OnlineWork = {
  /** Of the plans of all steps; steps on the same answers count each. */
  rows: number;
  evaluations: number;
  /** Whether the model of that name stands on the policy's own frozen weights. */
  onPolicyBase(model: string | undefined): boolean;
};

export function onlineCost(shapes: Shapes, recipe: OnlineRecipe, sample: RowLengths[], { rows, evaluations, onPolicyBase }: OnlineWork) {
  const { maxCompletionLength: T } = recipe;
  const ofStep = rowsOfStep(recipe);
  const prompts = ofStep.perDeviceTrainBatchSize * ofStep.gradientAccumulationSteps * (recipe.method === 'rejection' ? Infinity : 1); // a round's are many
  const G = answersPerPrompt(recipe);
  const mean = (of: (row: RowLengths) => number) => sample.reduce((sum, row) => sum + of(row), 0) / sample.length;
  const promptTokens = mean((row) => (row.length === 2 ? row[0] - row[1] : row[0]));
  const sampled: RowLengths = [Math.round(promptTokens), ...new Array<number>(G).fill(T), ...(G === 1 ? [0] : [])];
  const forward = rowFlops(shapes, sampled, true);
  const train = mean((row) => rowFlops(shapes, row));

  const passes = recipe.method === 'ppo' ? recipe.numPpoEpochs : 1;
  const trainedModels = recipe.method === 'ppo' ? 2 : 1;
  const iterations = 'numIterations' in recipe ? recipe.numIterations : 1;
  const reference = hasReference(recipe);
  const old = recipe.method === 'ppo' ? 2 : Number(recipe.method === 'rloo' || iterations > 1); // PPO: policy and values
  const scoring = [...recipe.rewards, recipe.goldReward].filter((reward) => reward?.type === 'model').length;

  const { base, adapter, bytes } = countParameters(shapes);
  const beside = modelsInMemory(recipe).slice(1);
  const bytesOf = ({ role, model }: (typeof beside)[number]): number => {
    if (onPolicyBase(model)) return role === 'reference' && model === undefined ? 0 : 4 * adapter; // the policy without its adapter; or an adapter of about that size
    return role === 'value' ? bytes : base * (shapes.bf16 ? 2 : 4); // a reward model counts as of the policy's size
  };
  return {
    flops: rows * (train * passes * trainedModels + ((1 + Number(reference) + old + scoring) * forward) / iterations) + (evaluations * EVALUATED * (1 + scoring) * forward) / G,
    besideBytes: beside.reduce((sum, each) => sum + bytesOf(each), 0),
    trainedModels,
    cacheBytes: cacheBytes(shapes.config, rolloutCacheTokens(promptTokens, prompts, { count: G, maxTokens: T })),
    /** of the longest prompts' answers */
    microBatchTokens: recipe.perDeviceTrainBatchSize * Math.max(...sample.map((row) => rowSizes(row).tokens / Math.max(1, row.length - 1))),
  };
}
