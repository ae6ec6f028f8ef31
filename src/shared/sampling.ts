/** How a completion is sampled: one schema for the command line, the playground and the engine. Names are transformers' generate() names. */
import { z } from 'zod';

export const Sampling = z.strictObject({
  temperature: z.number().min(0).max(10).default(1).describe('0 is greedy; below 1 sharpens, above 1 flattens'),
  topK: z.int().min(0).default(0).describe('keep the k likeliest tokens; 0 keeps all'),
  topP: z.number().gt(0).max(1).default(1).describe('keep the smallest set whose probability reaches p'),
  minP: z.number().min(0).max(1).default(0).describe('drop tokens below this share of the likeliest one'),
  repetitionPenalty: z.number().gt(0).default(1).describe('divides the logits of tokens already seen; 1 is off'),
  maxTokens: z.int().min(1).default(256).describe('at most this many new tokens'),
  stop: z.array(z.string().min(1)).default([]).describe('strings that end the completion; they are not part of it'),
  seed: z.int().min(0).default(0).describe('same seed, same text'),
});
export type Sampling = z.infer<typeof Sampling>;

export type FinishReason = 'eos' | 'stop' | 'length' | 'cancelled';
