/** What the sorts of reward are called. */
import * as m from '../../paraglide/messages.js';
import type { RewardType } from './reward-fields.ts';

export const rewardTypeName = (type: RewardType): string => NAMES[type]();

const NAMES: Record<RewardType, () => string> = {
  regex: m.train_reward_regex, exact: m.train_reward_exact, json: m.train_reward_json, length: m.train_reward_length,
  language: m.train_reward_language, model: m.train_reward_model, function: m.train_reward_function,
};
