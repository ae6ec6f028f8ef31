/**
 * A reward model: each answer's score at its last token, and Bradley–Terry on all pairs of a prompt's ranked answers (a pair is a ranking of two).
 * Answers share their prompt as a prefix. Follows TRL's RewardTrainer in names and arithmetic; the loss is losses/reward.ts.
 */
import { packRankings, type RankedSequences } from '../data/pack.ts';
import type { StepPlan } from '../data/plan.ts';
import { rewardLoss, type RankedScores } from '../losses/reward.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { rewardReport } from './reward-report.ts';
import { dropoutSeed } from './sft.ts';
import { isEvaluationStep, optimizerStep, type StepReport, type Training } from './training.ts';

export type RewardData = {
  train: RankedSequences[];
  steps: StepPlan[];
  validation: RankedSequences[];
  evalSteps: number;
  /** prompts a forward pass takes at once outside training */
  evalBatchSize: number;
};

export async function* reward(training: Training, data: RewardData, centerRewardsCoefficient: number): AsyncGenerator<StepReport, void, void> {
  const { model, totalSteps, seed } = training;
  for (let step = training.startStep; step < totalSteps; step++) {
    const plan = data.steps[step];
    const stepPrompts = plan.reduce((count, rows) => count + rows.length, 0);
    const metrics = new ScoreMetrics();
    let loss = 0;
    let tokens = 0;
    let computedTokens = 0;
    for (const [i, indices] of plan.entries()) {
      const rows = Array.from(indices, (row) => data.train[row]);
      const batch = packRankings(rows);
      model.dropoutSeed = dropoutSeed(seed, step, i);
      model.microBatchShare = indices.length / stepPrompts;
      const forward = await model.forwardScores(batch, { gradient: true });
      const prompts = rankedScores(rows);
      const share = rewardLoss(forward.scores, prompts, stepPrompts, centerRewardsCoefficient);
      model.backwardScores(forward, share.dscores);
      loss += share.loss;
      metrics.add(forward.scores, prompts);
      computedTokens += batch.tokens.length;
      for (const { prompt, answers } of rows) for (const answer of answers) tokens += prompt.length + answer.length;
    }
    const optimizer = await optimizerStep(training, step);

    const values: Record<string, number> = { loss, ...optimizer, ...metrics.values() };
    const report: StepReport = { step: step + 1, values, tokens, computedTokens };
    if (data.validation.length > 0 && isEvaluationStep(step + 1, totalSteps, data.evalSteps)) {
      const evaluation = await evaluateReward(model, data.validation, data.evalBatchSize, centerRewardsCoefficient);
      for (const [name, value] of Object.entries(evaluation.values)) values[`eval_${name}`] = value;
      report.evaluation = rewardReport(evaluation.scores);
      values.eval_calibration_error = report.evaluation.calibrationError;
    }
    yield report;
  }
}

/** Loss and metrics over held-out rankings, no gradient, and the scores of each one's answers, best first. */
export async function evaluateReward(
  model: LanguageModel,
  rows: RankedSequences[],
  batchSize: number,
  centerRewardsCoefficient: number,
): Promise<{ values: Record<string, number>; scores: Float32Array[] }> {
  const metrics = new ScoreMetrics();
  const scores: Float32Array[] = [];
  let loss = 0;
  for (let start = 0; start < rows.length; start += batchSize) {
    const some = rows.slice(start, start + batchSize);
    const forward = await model.forwardScores(packRankings(some));
    const prompts = rankedScores(some);
    loss += rewardLoss(forward.scores, prompts, rows.length, centerRewardsCoefficient).loss;
    metrics.add(forward.scores, prompts);
    for (const { start: first, count } of prompts) scores.push(forward.scores.slice(first, first + count));
  }
  return { values: { loss, ...metrics.values() }, scores };
}

/** Where each row's answers stand among the scores of its batch. */
function rankedScores(rows: RankedSequences[]): RankedScores[] {
  let start = 0;
  return rows.map(({ answers, margin }) => {
    const prompt = { start, count: answers.length, margin };
    start += answers.length;
    return prompt;
  });
}

/** TRL's names: rewards over all answers; accuracy and margin over pairs, those of one prompt weighing one together, as in the loss. */
class ScoreMetrics {
  private scores = 0;
  private sum = 0;
  private min = Infinity;
  private max = -Infinity;
  private prompts = 0;
  private accuracy = 0;
  private margin = 0;

  add(scores: Float32Array, prompts: RankedScores[]): void {
    for (const score of scores) {
      this.scores++;
      this.sum += score;
      this.min = Math.min(this.min, score);
      this.max = Math.max(this.max, score);
    }
    for (const { start, count } of prompts) {
      const weight = 2 / (count * (count - 1));
      for (let i = start; i < start + count; i++) {
        for (let j = i + 1; j < start + count; j++) {
          this.accuracy += scores[i] > scores[j] ? weight : 0;
          this.margin += weight * (scores[i] - scores[j]);
        }
      }
    }
    this.prompts += prompts.length;
  }

  values(): Record<string, number> {
    const { scores, sum, min, max, prompts, accuracy, margin } = this;
    return { min_reward: min, mean_reward: sum / scores, max_reward: max, accuracy: accuracy / prompts, margin: margin / prompts };
  }
}
