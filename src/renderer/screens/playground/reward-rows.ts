/** Weighted rewards between the few fields of the panel and the contract's shape. The whole choice of sorts and fields is the training form's. */
import { Reward } from '../../../shared/recipes/rewards.ts';

export type RewardKind = 'model' | 'function' | 'regex' | 'exact';
export const REWARD_KINDS: RewardKind[] = ['model', 'function', 'regex', 'exact'];
/** `text`: the model's name, the code or the pattern; the right answer is the panel's. */
export type RewardRow = { kind: RewardKind; text: string; weight: string };

const CODE = '({ prompt, completion }) => completion.length < 100 ? 1 : 0';

/** `models`: reward models there are. */
export function newRow(kind: RewardKind, models: string[]): RewardRow {
  return { kind, weight: '1', text: kind === 'function' ? CODE : kind === 'model' ? (models[0] ?? '') : '' };
}

/** A string: the first thing that is wrong. */
export function readRows(rows: RewardRow[]): Reward[] | string {
  const rewards: Reward[] = [];
  for (const { kind, text, weight } of rows) {
    const own = { model: { model: text }, function: { code: text }, regex: { pattern: text }, exact: {} }[kind];
    const parsed = Reward.safeParse({ type: kind, weight: weight.trim() === '' ? NaN : Number(weight), ...own });
    if (!parsed.success) return `${rows.length > 1 ? `${rewards.length + 1}: ` : ''}${parsed.error.issues[0].message}`;
    rewards.push(parsed.data);
  }
  return rewards;
}
