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

/** A check of what only trying tells: patterns and schemas that cannot be used are refused where they are written, not when training begins. */
const usable = <T>(make: (value: T) => unknown, path: string[] = []) => (value: T, ctx: z.RefinementCtx): void => {
  try {
    make(value);
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: (error as Error).message, path });
  }
};

export const Reward = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('regex').describe('1 where the answer has a match, else 0'),
      ...any,
      pattern: z.string().min(1).describe('JavaScript regular expression'),
      flags: z.string().regex(/^[imsuv]*$/, 'only i, m, s, u and v').default('').describe('i: small and capital letters are one; m: ^ and $ at every line; s: a dot takes line ends too'),
    })
    .superRefine(usable(({ pattern, flags }) => new RegExp(pattern, flags), ['pattern'])),
  z.strictObject({
    type: z.literal('exact').describe("1 where the answer is the row's own, spaces evened out"),
    ...any,
    pattern: z.string().min(1).superRefine(usable((pattern) => new RegExp(pattern, 'u'))).optional().describe('compare what its first group takes, else its match, in both; by default all of the answer'),
    ignoreCase: z.boolean().default(false).describe('small and capital letters are one'),
  }),
  z.strictObject({
    type: z.literal('json').describe('1 where the answer is JSON and valid, else 0'),
    ...any,
    schema: z
      .record(z.string(), z.unknown())
      .superRefine(usable((schema) => z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])))
      .default({})
      .describe('JSON Schema it must obey; {} takes any JSON'),
  }),
  z
    .strictObject({
      type: z.literal('length').describe('1 from min to max, falling evenly outside'),
      ...any,
      unit: z.enum(['tokens', 'words', 'characters']).default('tokens').describe('what is counted'),
      min: z.int().min(0).default(0).describe('below, the reward falls evenly to 0 at length 0'),
      max: z.int().min(1).describe('above, it falls evenly to 0 at twice max'),
    })
    .refine(({ min, max }) => min <= max, { path: ['min'], message: 'is over max: nothing could be long enough' }),
  z.strictObject({
    type: z.literal('language').describe('the share of letters that are of one script'),
    ...any,
    script: Script.describe('as Unicode names it'),
  }),
  z.strictObject({
    type: z.literal('model').describe('the score of a reward model, which has no scale of its own'),
    ...any,
    model: z.string().min(1).describe('reward model: library name or folder'),
  }),
  z.strictObject({
    type: z.literal('function').describe('what a function of yours gives, run in a sandbox'),
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
