/** What a person should know of a recipe before it starts, one sentence each. Ranges are what the field uses; nothing here forbids anything. */
import type { Estimate } from '../../shared/api/runs.ts';
import type { Recipe } from '../../shared/recipe.ts';

/** Fewer rows than this are learnt by heart. */
const FEW_ROWS = 50;
/** Below this a model takes learning rates ten times those of the field's usual sizes. */
const SMALL_MODEL = 100e6;

/** Usual learning rates: every weight trained, and LoRA, whose updates start from nothing. */
const LEARNING_RATES: Record<Recipe['method'], { full: [number, number]; lora: [number, number] }> = {
  pretrain: { full: [1e-6, 1e-3], lora: [1e-5, 2e-3] },
  sft: { full: [1e-6, 1e-4], lora: [1e-5, 1e-3] },
  dpo: { full: [5e-8, 1e-5], lora: [5e-7, 1e-4] },
  reward: { full: [1e-6, 5e-5], lora: [1e-5, 1e-3] },
  classify: { full: [1e-6, 1e-4], lora: [1e-5, 1e-3] },
  grpo: { full: [1e-7, 1e-5], lora: [1e-6, 1e-4] },
  ppo: { full: [1e-7, 1e-5], lora: [1e-6, 1e-4] },
  rejection: { full: [1e-6, 1e-4], lora: [1e-5, 1e-3] },
  rloo: { full: [1e-7, 1e-5], lora: [1e-6, 1e-4] },
  cpo: { full: [5e-8, 1e-5], lora: [5e-7, 1e-4] },
  kto: { full: [5e-8, 1e-5], lora: [5e-7, 1e-4] },
  orpo: { full: [1e-6, 5e-5], lora: [5e-6, 5e-4] },
};

export function warningsOf(recipe: Recipe, estimate: Estimate, { contextLength, leftOut }: { contextLength: number | null; leftOut: number }): string[] {
  const { memory, rows, cutRows, longestRow, sampledRows, parameters } = estimate;
  const { maxLength, optimizer, lora, method } = recipe;
  const warnings: string[] = [];
  if (!memory.fits) warnings.push(`It needs about ${gigabytes(memory.total)} and ${gigabytes(memory.available)} are free: it may not fit.`);
  if (cutRows > 0) {
    warnings.push(`${amount(cutRows)} of ${amount(rows.train)} rows are longer than maxLength (${maxLength} tokens) and are cut at the end; the longest has ${amount(longestRow)}.`);
  }
  if (leftOut > 0) warnings.push(`${amount(leftOut)} of ${amount(sampledRows)} sampled rows are left out: nothing of their answer remains, or the template refuses them.`);
  if (contextLength !== null && Math.min(longestRow, maxLength) > contextLength) {
    warnings.push(`Rows of up to ${amount(Math.min(longestRow, maxLength))} tokens are longer than what the model was made for (${amount(contextLength)}): set maxLength to that.`);
  }
  if (rows.train < FEW_ROWS) warnings.push(`${rows.train} row${rows.train === 1 ? ' is' : 's are'} very few: the model will learn them by heart rather than what they have in common.`);
  const [lowest, highest] = LEARNING_RATES[method][lora ? 'lora' : 'full'].map((rate, i) => (i === 1 && parameters < SMALL_MODEL ? 10 * rate : rate));
  const what = `${method} ${lora ? 'with LoRA' : 'of every weight'}`;
  if (optimizer.learningRate > highest) warnings.push(`A learning rate of ${rate(optimizer.learningRate)} is high for ${what} of a model this size: up to ${rate(highest)} is usual.`);
  if (optimizer.learningRate < lowest) warnings.push(`A learning rate of ${rate(optimizer.learningRate)} is low for ${what}: from ${rate(lowest)} up is usual.`);
  return warnings;
}

const amount = (n: number): string => n.toLocaleString('en-US');
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toPrecision(2)} GB`;
const rate = (value: number): string => value.toExponential().replace('.0e', 'e');
