/** A classifier: texts with the labels found in them, and a score head with a row a label, for algorithms/classify.ts. */
import type { ClassifyRecipe } from '../../shared/recipe.ts';
import { classify } from '../algorithms/classify.ts';
import type { LabelledSequence } from '../data/pack.ts';
import { type LabelledText, prepareTexts } from '../data/prepare.ts';
import { type MethodContext, padTokenOf, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';

export async function prepareClassify(context: MethodContext<ClassifyRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  if (recipe.freezeTrunk && recipe.lora) throw new Error('freezeTrunk trains the head alone and lora the trunk: set one of the two (lora: null, or freezeTrunk: false)');
  const settings = prepareSettings(context);
  const texts = await prepareSplits(context.job, (path) => prepareTexts(path, settings));
  // sorted: the same labels make the same head, in whatever order rows come
  const labels = [...new Set([...texts.train, ...texts.validation].map((row) => row.label))].sort();
  if (labels.length < 2) throw new Error(`every row has the label ${JSON.stringify(labels[0])}; a classifier needs two labels at least`);
  const rows = { train: texts.train.map((row) => numbered(row, labels)), validation: texts.validation.map((row) => numbered(row, labels)) };
  const { evalSteps, perDeviceTrainBatchSize: evalBatchSize } = recipe;
  return {
    lengths: rows.train.map(({ tokens }) => [tokens.length, 1]),
    head: { labels, padTokenId: padTokenOf(context, rows.train.map(({ tokens }) => tokens)) },
    trainable: recipe.freezeTrunk ? 'score' : undefined,
    start: async (training, steps) => classify(training, { ...rows, labels, steps, evalSteps, evalBatchSize }),
  };
}

function numbered({ tokens, label }: LabelledText, labels: string[]): LabelledSequence {
  return { tokens, label: labels.indexOf(label) };
}
