/**
 * What a sampled answer is scored by, as data: rules, a reward model, a function of the user's. Several of them add up by weight.
 * Every rule gives 0 to 1, so that weights compare. How each is computed is the engine's (engine/rewards/).
 */
import { z } from 'zod';

const any = {
  name: z.string().regex(/^[\w-]+$/, 'letters, digits, _ and - only').optional().describe('under rewards/NAME/mean; by default the type'),
  weight: z.number().default(1).describe('times this in the sum; below 0 it is a penalty'),
};

/** Scripts as Unicode names them. */
export const Script = z.enum(['Latin', 'Hangul', 'Han', 'Hiragana', 'Katakana', 'Cyrillic', 'Greek', 'Arabic', 'Hebrew', 'Devanagari', 'Thai']);

export const Reward = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('regex'),
    ...any,
    pattern: z.string().min(1).describe('1 where the answer has a match, else 0'),
    flags: z.string().regex(/^[imsuv]*$/, 'only i, m, s, u and v').default('').describe('of the JavaScript regular expression'),
  }),
  z.strictObject({
    type: z.literal('exact'),
    ...any,
    pattern: z.string().min(1).optional().describe('compare its first group, else its match, in both; by default all of the answer'),
    ignoreCase: z.boolean().default(false).describe("1 where it is the row's own answer, spaces evened out"),
  }),
  z.strictObject({
    type: z.literal('json'),
    ...any,
    schema: z.record(z.string(), z.unknown()).default({}).describe('JSON Schema: 1 where the answer is JSON and valid, else 0'),
  }),
  z.strictObject({
    type: z.literal('length'),
    ...any,
    unit: z.enum(['tokens', 'words', 'characters']).default('tokens'),
    min: z.int().min(0).default(0).describe('below, the reward falls evenly to 0 at length 0'),
    max: z.int().min(1).describe('above, it falls evenly to 0 at twice max'),
  }),
  z.strictObject({ type: z.literal('language'), ...any, script: Script.describe('share of the letters of this script') }),
  z.strictObject({ type: z.literal('model'), ...any, model: z.string().min(1).describe('reward model: library name or folder') }),
  z.strictObject({
    type: z.literal('function'),
    ...any,
    code: z.string().min(1).describe('JavaScript: ({ prompt, completion, expected }) => number; expected is null where the row has no answer'),
    timeLimit: z.int().min(1).max(60_000).default(1000).describe('ms for one answer'),
  }),
]);
export type Reward = z.infer<typeof Reward>;

/** A name for each, in order: its own or its type, counted on where it is taken. */
export function rewardNames(rewards: Reward[]): string[] {
  const names: string[] = [];
  for (const { name, type } of rewards) {
    const wanted = name ?? type;
    let free = wanted;
    for (let n = 2; names.includes(free); n++) free = `${wanted}_${n}`;
    names.push(free);
  }
  return names;
}
