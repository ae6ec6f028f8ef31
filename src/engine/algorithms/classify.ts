/**
 * A classifier: each text's scores at its last token, cross-entropy against its label. Whether the trunk is trained too is the model's affair
 * (its parameters). Follows transformers' …ForSequenceClassification; the loss is losses/classify.ts.
 */
import type { RunReport } from '../../shared/reports.ts';
import { type LabelledSequence, packTexts } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import { classifyLoss } from '../losses/classify.ts';
import type { LanguageModel } from '../model/language-model.ts';
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
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const stepTexts = plan.reduce((count, rows) => count + rows.length, 0);
    let loss = 0;
    let correct = 0;
    let tokens = 0;
    for (const [i, indices] of plan.entries()) {
      const rows = Array.from(indices, (row) => data.train[row]);
      const batch = packTexts(rows.map((row) => row.tokens));
      model.dropoutSeed = dropoutSeed(seed, step, i);
      const forward = await model.forwardScores(batch, { gradient: true });
      const share = classifyLoss(forward.scores, Int32Array.from(rows, ({ label }) => label), labels.length, stepTexts);
      model.backwardScores(forward, share.dscores);
      loss += share.loss;
      correct += rows.reduce((sum, { label }, t) => sum + (share.predicted[t] === label ? 1 : 0), 0);
      tokens += batch.tokens.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, accuracy: correct / stepTexts };
    const report: StepReport = { step: step + 1, values, tokens, computedTokens: tokens };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateClassify(model, data.validation, labels, data.evalBatchSize);
      values.eval_loss = evaluation.loss;
      values.eval_accuracy = evaluation.accuracy;
      report.evaluation = evaluation.report;
    }
    yield report;
  }
}

/** Mean cross-entropy, accuracy and the confusion matrix over held-out texts. */
export async function evaluateClassify(
  model: LanguageModel,
  rows: LabelledSequence[],
  labels: string[],
  batchSize: number,
): Promise<{ loss: number; accuracy: number; report: RunReport }> {
  const counts = labels.map(() => new Array<number>(labels.length).fill(0));
  let loss = 0;
  for (let start = 0; start < rows.length; start += batchSize) {
    const some = rows.slice(start, start + batchSize);
    const { scores } = await model.forwardScores(packTexts(some.map((row) => row.tokens)));
    const share = classifyLoss(scores, Int32Array.from(some, ({ label }) => label), labels.length, rows.length);
    loss += share.loss;
    for (const [t, { label }] of some.entries()) counts[label][share.predicted[t]]++;
  }
  const correct = counts.reduce((sum, row, label) => sum + row[label], 0);
  return { loss, accuracy: correct / rows.length, report: { type: 'classify', labels, counts } };
}
