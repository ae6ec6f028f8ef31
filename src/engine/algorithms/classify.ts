/**
 * A classifier: each text's scores at its last token, cross-entropy against its label. Whether the trunk is trained too is the model's affair
 * (its parameters); where it is not, what the head sees of a text is computed once and kept. Follows transformers' …ForSequenceClassification; the loss is losses/classify.ts.
 */
import type { RunReport } from '../../shared/reports.ts';
import { type LabelledSequence, packTexts } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import { classifyLoss } from '../losses/classify.ts';
import type { LanguageModel, Scores } from '../model/language-model.ts';
import { microBatches } from './experience.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, type Training } from './training.ts';

export type ClassifyData = {
  train: LabelledSequence[];
  labels: string[];
  steps: StepPlan[];
  validation: LabelledSequence[];
  evalSteps: number;
  /** texts a forward pass takes at once outside training */
  evalBatchSize: number;
};

export async function* classify(training: Training, data: ClassifyData): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  const { labels } = data;
  const score = await createScoring(model, data.train, data.evalBatchSize);
  const scoreHeldOut = await createScoring(model, data.validation, data.evalBatchSize);
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const stepTexts = plan.reduce((count, rows) => count + rows.length, 0);
    let loss = 0;
    let correct = 0;
    let tokens = 0;
    for (const [i, indices] of plan.entries()) {
      const rows = Array.from(indices, (row) => data.train[row]);
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = indices.length / stepTexts;
      const forward = await score(indices, true);
      const share = classifyLoss(forward.scores, Int32Array.from(rows, ({ label }) => label), labels.length, stepTexts);
      model.backwardScores(forward, share.dscores);
      loss += share.loss;
      correct += rows.reduce((sum, { label }, t) => sum + (share.predicted[t] === label ? 1 : 0), 0);
      tokens += rows.reduce((sum, row) => sum + row.tokens.length, 0);
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, accuracy: correct / stepTexts };
    const report: StepReport = { step: step + 1, values, tokens, computedTokens: tokens };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateClassify(scoreHeldOut, data.validation, labels, data.evalBatchSize);
      values.eval_loss = evaluation.loss;
      values.eval_accuracy = evaluation.accuracy;
      report.evaluation = evaluation.report;
    }
    yield report;
  }
}

/** Scores of rows of a split, by their numbers. */
type Scoring = (rows: ArrayLike<number>, gradient: boolean) => Promise<Scores>;

/** Through the whole model; or, where only its head is trained, from features computed here, once. */
async function createScoring(model: LanguageModel, texts: LabelledSequence[], batchSize: number): Promise<Scoring> {
  const pack = (rows: ArrayLike<number>) => packTexts(Array.from(rows, (row) => texts[row].tokens));
  if (model.parameters.some((parameter) => parameter !== model.score)) return (rows, gradient) => model.forwardScores(pack(rows), { gradient });
  const C = model.config.hiddenSize;
  const features = new Float32Array(texts.length * C);
  for (const rows of microBatches([...texts.keys()], batchSize)) features.set(await model.features(pack(rows)), rows[0] * C);
  return (rows, gradient) => {
    const chosen = new Float32Array(rows.length * C);
    for (let i = 0; i < rows.length; i++) chosen.set(features.subarray(rows[i] * C, (rows[i] + 1) * C), i * C);
    return model.scoreFeatures(chosen, { gradient });
  };
}

/** Mean cross-entropy, accuracy and the confusion matrix over held-out texts. */
async function evaluateClassify(
  score: Scoring,
  rows: LabelledSequence[],
  labels: string[],
  batchSize: number,
): Promise<{ loss: number; accuracy: number; report: RunReport }> {
  const counts = labels.map(() => new Array<number>(labels.length).fill(0));
  let loss = 0;
  for (let start = 0; start < rows.length; start += batchSize) {
    const some = rows.slice(start, start + batchSize);
    const { scores } = await score(Array.from(some, (_, i) => start + i), false);
    const share = classifyLoss(scores, Int32Array.from(some, ({ label }) => label), labels.length, rows.length);
    loss += share.loss;
    for (const [t, { label }] of some.entries()) counts[label][share.predicted[t]]++;
  }
  const correct = counts.reduce((sum, row, label) => sum + row[label], 0);
  return { loss, accuracy: correct / rows.length, report: { type: 'classify', labels, counts } };
}
