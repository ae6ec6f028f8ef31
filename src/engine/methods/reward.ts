/** A reward model: pairs and rankings as answers of one prompt, and a score head with one label, for algorithms/reward.ts. */
import type { RewardRecipe } from '../../shared/recipe.ts';
import { reward } from '../algorithms/reward.ts';
import type { RankedSequences } from '../data/pack.ts';
import { prepareRankings } from '../data/prepare.ts';
import { REWARD_LABELS } from '../model/heads.ts';
import { type MethodContext, padTokenOf, type PreparedMethod, prepareSettings, prepareSplits } from './method.ts';

export async function prepareReward(context: MethodContext<RewardRecipe>): Promise<PreparedMethod> {
  const { recipe } = context.job;
  const settings = prepareSettings(context);
  const rows = await prepareSplits(context.job, (path) => prepareRankings(path, settings));
  const { evalSteps, perDeviceTrainBatchSize: evalBatchSize, centerRewardsCoefficient } = recipe;
  const answers = rows.train.flatMap((row) => row.answers);
  return {
    lengths: rows.train.map(rankingLengths),
    head: { labels: REWARD_LABELS, padTokenId: padTokenOf(context, answers) },
    start: async (training, steps) => reward(training, { ...rows, steps, evalSteps, evalBatchSize }, centerRewardsCoefficient),
  };
}

function rankingLengths({ prompt, answers }: RankedSequences): number[] {
  return [prompt.length, ...answers.map((answer) => answer.length)];
}
