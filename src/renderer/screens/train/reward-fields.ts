/**
 * The sorts of reward and the fields of each, read off shared/recipes/rewards.ts as fields.ts reads a recipe's. A field's path is where it stands in
 * the recipe (`rewards.0.pattern`); its key, by which names and help are found, is that of the sort (`rewards.regex.pattern`, or `rewards.weight`
 * where every sort has it).
 */
import { Reward } from '../../../shared/recipes/rewards.ts';
import { fieldsOfPart, type Field } from './fields.ts';

export type RewardType = Reward['type'];

const SORTS = new Map(Reward.options.map((option) => [option.shape.type.value as RewardType, fieldsOfPart(option, [])]));
const COMMON = ['name', 'weight'];

export const REWARD_TYPES: RewardType[] = [...SORTS.keys()];
export const isRewardType = (value: unknown): value is RewardType => SORTS.has(value as RewardType);

/** What the sort gives, in a line. */
export function describeReward(type: RewardType): Pick<Field, 'key' | 'description'> {
  const { description } = SORTS.get(type)!.find(({ key }) => key === 'type')!;
  return { key: `rewards.${type}`, description };
}

/** Without its type; what is its own first, then name and weight. */
export function rewardFieldsOf(type: RewardType, at: string[]): Field[] {
  const fields = SORTS.get(type)!.filter(({ key }) => key !== 'type');
  const own = fields.filter(({ key }) => !COMMON.includes(key));
  return [...own, ...fields.filter(({ key }) => COMMON.includes(key))].map((field) => ({
    ...field,
    path: [...at, ...field.path],
    key: COMMON.includes(field.key) ? `rewards.${field.key}` : `rewards.${type}.${field.key}`,
  }));
}
