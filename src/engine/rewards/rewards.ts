/**
 * A recipe's rewards, ready to score: each answer by each of them, and their weighted sum. Rules are rules.ts, code is sandbox.ts, reward models are
 * reward-model.ts. The same answers get the same scores, so that a resumed run repeats.
 */
import { type Reward, rewardNames } from '../../shared/recipes/rewards.ts';
import { type Answer, exactReward, jsonReward, languageReward, lengthReward } from './rules.ts';
import { createSandbox } from './sandbox.ts';

export interface Rewards {
  /** Every reward's own score of each answer, and all of them by weight. */
  score(answers: Answer[]): Promise<{ scores: Float64Array; rewards: Record<string, Float64Array> }>;
  close(): Promise<void>;
}

export type Scorer = { score(answers: Answer[]): Promise<ArrayLike<number>>; close(): Promise<void> };

/** `openRewardModel` by the name the recipe has for it. */
export async function openRewards(rewards: Reward[], openRewardModel: (name: string) => Promise<Scorer>): Promise<Rewards> {
  const names = rewardNames(rewards);
  const scorers: Scorer[] = [];
  for (const [i, reward] of rewards.entries()) scorers.push(await openScorer(names[i], reward, openRewardModel));
  return {
    async score(answers) {
      const scores = new Float64Array(answers.length);
      const each: Record<string, Float64Array> = {};
      for (const [i, scorer] of scorers.entries()) {
        const own = Float64Array.from(await scorer.score(answers));
        each[names[i]] = own;
        for (const [n, score] of own.entries()) scores[n] += rewards[i].weight * score;
      }
      return { scores, rewards: each };
    },
    async close() {
      for (const scorer of scorers) await scorer.close();
    },
  };
}

async function openScorer(name: string, reward: Reward, openRewardModel: (name: string) => Promise<Scorer>): Promise<Scorer> {
  switch (reward.type) {
    case 'regex':
      return createSandbox(name, `({ completion }) => new RegExp(${JSON.stringify(reward.pattern)}, ${JSON.stringify(reward.flags)}).test(completion)`, PATTERN_TIME);
    case 'function':
      return createSandbox(name, reward.code, reward.timeLimit);
    case 'model':
      return openRewardModel(reward.model);
    case 'exact':
      return plain(exactReward(reward));
    case 'json':
      return plain(jsonReward(reward));
    case 'length':
      return plain(lengthReward(reward));
    case 'language':
      return plain(languageReward(reward));
  }
}

/** Of a regular expression on one answer, ms. */
const PATTERN_TIME = 1000;

function plain(rule: (answer: Answer) => number): Scorer {
  return { score: async (answers) => answers.map(rule), close: async () => {} };
}
