/**
 * Recipes that train the same rows in less memory, the least change first: smaller micro-batches with the same step, layers computed again in backward,
 * both, an adapter in place of every weight, and last its frozen base in four bits. What each takes is the estimate's business (estimate.ts).
 */
import type { Fit, RecipeChange } from '../../shared/fitting.ts';
import { Recipe } from '../../shared/recipe.ts';

/** Of what is free. */
const HEADROOM = 0.95;
/** Where the estimate said it would fit and it was killed: less than this share of what it said. */
const DISBELIEF = 0.8;
const CHECKPOINTING: RecipeChange = { path: ['gradientCheckpointing'], value: true };
const LORA: RecipeChange = { path: ['lora'], value: { r: 16 } };
const QLORA: RecipeChange = { path: ['lora'], value: { r: 16, baseWeights: 'nf4' } };
const FOUR_BITS: RecipeChange = { path: ['lora', 'baseWeights'], value: 'nf4' };

export function fitsIn(memory: { total: number; available: number }): boolean {
  return memory.total <= HEADROOM * memory.available;
}

/** Bytes. `total`: by the estimate. `reached`: where a run of it ended for want of memory, if that is known. */
export type Lack = { total: number; available: number; reached: number | null };

/** Of each way the smallest step that fits, the gentlest way first; none where none fits. `memoryOf`: bytes that a recipe takes. */
export async function findFits(recipe: Recipe, lack: Lack, memoryOf: (recipe: Recipe) => Promise<number>): Promise<Fit[]> {
  const limit = limitOf(lack);
  const batches = [[], ...smallerBatches(recipe)];
  const ways: RecipeChange[][] = [
    ...(recipe.gradientCheckpointing ? [] : [[CHECKPOINTING]]),
    ...(recipe.lora ? [] : [[LORA], ...(recipe.gradientCheckpointing ? [] : [[LORA, CHECKPOINTING]])]),
    ...quantised(recipe).flatMap((change) => [[change], ...(recipe.gradientCheckpointing ? [] : [[change, CHECKPOINTING]])]),
  ];
  const fits: Fit[] = [];
  for (const way of [[], ...ways]) {
    if (way.includes(QLORA) && fits.some(({ changes }) => changes.includes(LORA))) continue; // rounding the base has a price
    const steps = batches.flatMap((batch): Step[] => {
      const changes = [...way, ...batch];
      const changed = changes.length === 0 ? null : apply(recipe, changes);
      return changed ? [{ changes, changed }] : [];
    });
    const fit = await firstThatFits(steps, limit, memoryOf);
    // a longer way that needs as small a batch as a shorter one has nothing to offer
    if (fit && !fits.some(({ changes }) => changes.every((change) => fit.changes.includes(change)))) fits.push(fit);
  }
  return fits;
}

type Step = { changes: RecipeChange[]; /** the recipe so changed */ changed: Recipe };

/** `steps`: each takes less than those before it, so that where the last does not fit none does, and else halving finds the first. */
async function firstThatFits(steps: Step[], limit: number, memoryOf: (recipe: Recipe) => Promise<number>): Promise<Fit | null> {
  const take = async ({ changes, changed }: Step): Promise<Fit> => ({ changes, memory: await memoryOf(changed) });
  if (steps.length === 0) return null;
  let found = await take(steps.at(-1)!);
  if (found.memory > limit) return null;
  for (let [low, high] = [0, steps.length - 2]; low <= high; ) {
    const middle = (low + high) >> 1;
    const fit = await take(steps[middle]);
    if (fit.memory > limit) low = middle + 1;
    else {
      found = fit;
      high = middle - 1;
    }
  }
  return found;
}

function limitOf({ total, available, reached }: Lack): number {
  if (reached !== null) return HEADROOM * Math.min(available, reached);
  return fitsIn({ total, available }) ? DISBELIEF * total : HEADROOM * available;
}

/** Micro-batches of fewer rows, more of them, with as many rows in a step: the numbers come out the same. Largest first. */
function smallerBatches({ perDeviceTrainBatchSize: rows, gradientAccumulationSteps: times }: Recipe): RecipeChange[][] {
  const smaller = Array.from({ length: rows - 1 }, (_, i) => rows - 1 - i).filter((size) => rows % size === 0);
  return smaller.map((size) => [
    { path: ['perDeviceTrainBatchSize'], value: size },
    { path: ['gradientAccumulationSteps'], value: (times * rows) / size },
  ]);
}

/** The frozen base in four bits, where it is not. */
function quantised({ lora }: Recipe): RecipeChange[] {
  if (!lora) return [QLORA];
  return lora.baseWeights === 'nf4' || lora.baseWeights === 'q4_0' ? [] : [FOUR_BITS];
}

/** null: a method that does not take the change. */
function apply(recipe: Recipe, changes: RecipeChange[]): Recipe | null {
  const changed: Record<string, unknown> = { ...recipe };
  for (const { path: [name, part], value } of changes) changed[name] = part === undefined ? value : { ...(changed[name] as object), [part]: value };
  const parsed = Recipe.safeParse(changed);
  return parsed.success ? parsed.data : null;
}
