/** How a completion is sampled: one schema for the command line, the playground and the engine. Names are transformers' generate() names. */
import { z } from 'zod';

/**
 * What a row of next-token logits goes through before one is drawn, in order. Both begin with what is allowed at all and the penalties; transformers
 * changes the temperature before it cuts, llama.cpp after, so that there a high temperature lets no further token in.
 */
export const FILTER_ORDERS = {
  transformers: ['penalties', 'temperature', 'topK', 'topP', 'minP', 'typicalP'],
  'llama.cpp': ['penalties', 'topK', 'typicalP', 'topP', 'minP', 'temperature'],
} as const;
export type Filter = (typeof FILTER_ORDERS)['transformers'][number];

export const Sampling = z.strictObject({
  temperature: z.number().min(0).max(10).default(1).describe('0 is greedy; below 1 sharpens, above 1 flattens'),
  topK: z.int().min(0).default(0).describe('keep the k likeliest tokens; 0 keeps all'),
  topP: z.number().gt(0).max(1).default(1).describe('keep the smallest set whose probability reaches p'),
  minP: z.number().min(0).max(1).default(0).describe('drop tokens below this share of the likeliest one'),
  typicalP: z.number().gt(0).max(1).default(1).describe('keep the tokens whose surprise is nearest the mean surprise, until their probability reaches p'),
  repetitionPenalty: z.number().gt(0).default(1).describe('divides the logits of tokens already seen; 1 is off'),
  frequencyPenalty: z.number().min(-2).max(2).default(0).describe('taken from the logit of a token of the answer so far, once for each time it stands there'),
  presencePenalty: z.number().min(-2).max(2).default(0).describe('taken from the logit of every token that stands in the answer so far'),
  filterOrder: z.enum(['transformers', 'llama.cpp']).default('transformers').describe('whose order of the filters; in transformers the temperature comes before the cuts, in llama.cpp after'),
  numBeams: z.int().min(1).max(64).default(1).describe('above 1, beam search: the likeliest whole answer found, nothing drawn; temperature and cuts play no part'),
  numBeamGroups: z.int().min(1).max(64).default(1).describe('beams in so many groups that keep away from the words of each other'),
  diversityPenalty: z.number().min(0).default(0).describe('taken from a token for each beam of an earlier group that chose it at the same place'),
  lengthPenalty: z.number().min(-10).max(10).default(1).describe("a beam's log-prob is divided by its length to this power; above 0 favours longer answers"),
  earlyStopping: z.boolean().default(false).describe('beam search ends as soon as there are as many whole answers as beams'),
  maxTokens: z.int().min(1).default(256).describe('at most this many new tokens'),
  stop: z.array(z.string().min(1)).default([]).describe('strings that end the completion; they are not part of it'),
  seed: z.int().min(0).default(0).describe('same seed, same text'),
});
export type Sampling = z.infer<typeof Sampling>;

export type FinishReason = 'eos' | 'stop' | 'length' | 'cancelled';
