/** Best of N: several answers to each prompt, one of them chosen by a score or by a vote; and what is told of it. How it is worked out is engine/sampling/best-of.ts. */
import { z } from 'zod';
import type { Validity } from './constraint.ts';
import { Reward } from './recipes/rewards.ts';
import type { FinishReason } from './sampling.ts';

/** How one answer is chosen. Rewards are those of online training: a reward model, a function of the user's in its sandbox, rules, added up by weight. */
export const Selection = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('logprob').describe('the highest mean log-probability of its tokens') }),
  z.strictObject({ by: z.literal('rewards'), rewards: z.array(Reward).min(1) }),
  z.strictObject({
    by: z.literal('majority'),
    pattern: z.string().min(1).optional().describe('what of an answer votes: the first group of this regular expression, else its match; by default all of it'),
    weight: z.enum(['one', 'probability', 'rewards']).default('one').describe('what a vote weighs: one, the mean probability of its tokens, or its rewards'),
    rewards: z.array(Reward).default([]),
  }),
]);
export type Selection = z.infer<typeof Selection>;

export type SampledAnswer = {
  text: string;
  tokens: number;
  /** Nats a token, under the model itself. */
  meanLogprob: number;
  finishReason: FinishReason;
  /** Each reward's own, by name. */
  rewards: Record<string, number>;
  /** Where something was asked of it. What was repaired is scored, and votes, as it was repaired. */
  validity?: Validity;
  /** By which it is chosen, or what its vote weighs; null: an answer in which there was nothing to vote, or that is not what was asked for. */
  score: number | null;
  /** What it votes for, spaces and letters evened out; null where the choice is by score. */
  vote: string | null;
  /** Against the expected answer; null where none is known. */
  correct: boolean | null;
};

/**
 * What a choice among n of the N is worth, over every choice of n and the mean over prompts: the chosen answer's score (by vote: the share of the votes it
 * has), and how often it is right.
 */
export type CurvePoint = { n: number; score: number; correct: number | null };

/** `chosen`: of the answers; null when none could be (none is what was asked for, or had anything to vote). */
export type BestOfPrompt = { prompt: string; answers: SampledAnswer[]; chosen: number | null };
export type BestOfResult = { prompts: BestOfPrompt[]; curve: CurvePoint[] };
