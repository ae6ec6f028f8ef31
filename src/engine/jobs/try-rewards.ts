/** The `try-rewards` job: one answer, written by a person, through the rewards of a recipe as a run would score it. Nothing is trained or kept. */
import { rewardNames } from '../../shared/recipes/rewards.ts';
import type { TryRewardsJob } from '../../shared/job.ts';
import type { TryRewardsResult } from '../../shared/job-results.ts';
import type { Device } from '../device/device.ts';
import { openRewardModel } from '../rewards/reward-model.ts';
import { openRewards } from '../rewards/rewards.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

export async function tryRewards({ rewards, models, model, template, prompt, completion, expected }: TryRewardsJob, device: Device): Promise<TryRewardsResult> {
  const tokenizer = await loadTokenizer(model.folder);
  const opened = await openRewards(rewards, (name) => openRewardModel(device, models[name], { template, perDeviceTrainBatchSize: 1 }));
  try {
    // with the token that ends it, as sampled answers are counted
    const tokens = tokenizer.encode(completion).length + 1;
    const { scores, rewards: each } = await opened.score([{ prompt, completion, tokens, expected }]);
    return { scores: rewardNames(rewards).map((name, i) => ({ name, weight: rewards[i].weight, score: each[name][0] })), score: scores[0] };
  } finally {
    await opened.close();
  }
}
