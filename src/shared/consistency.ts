/** Consistency: the same prompt and small rephrasings of it asked many times, and how far the answers are one and the same. */
import { z } from 'zod';

/** How a prompt is changed without changing what it asks. `synonyms` are of a list, `paraphrase` is the model's own. */
export const Rephrasing = z.enum(['case', 'punctuation', 'whitespace', 'synonyms', 'paraphrase']);
export type Rephrasing = z.infer<typeof Rephrasing>;

/** Of some answers. Answers are the same when they are once spaces and letters are evened out. */
export type Agreement = {
  answers: number;
  distinct: number;
  /** What most of them are, the earliest on a tie, as it was first written; and the share of answers that are it. */
  commonest: string;
  share: number;
  /** Share of pairs of answers that are the same; null of a single answer. */
  pairs: number | null;
  /** Levenshtein distance over the longer one's length, the mean over pairs, 0 (the same) to 1; null of a single answer. */
  distance: number | null;
};

export type ConsistencyVariant = Agreement & {
  /** null: the prompt as it was written. */
  rephrasing: Rephrasing | null;
  prompt: string;
  texts: string[];
  /** Its commonest answer is that of the prompt as it was written. */
  same: boolean;
};

/** The prompt as it was written first. `all`: every answer together. `keeps`: share of the rephrasings that keep the commonest answer; null without any. */
export type Consistency = { prompt: string; variants: ConsistencyVariant[]; all: Agreement; keeps: number | null };
