/** The model inspector: what a model is made of, its vocabulary, the numbers in its tensors, and what sets it apart from another. */
import { oc, type } from '@orpc/contract';
import { z } from 'zod';
import type { Inspection, TensorNumbers, TokenKind, VocabularyEntry, WeightChanges } from '../inspection.ts';

export const VocabularyQuery = z.strictObject({
  model: z.string().min(1),
  /** Text, an id, or bytes as 0x…; '' is all. */
  query: z.string().max(200),
  kind: z.enum(['normal', 'special', 'added', 'byte', 'unused']).nullable(),
  offset: z.int().min(0),
  count: z.int().min(1).max(500),
});
export type VocabularyQuery = z.infer<typeof VocabularyQuery>;
/** `type`: the tokenizer's (BPE, Unigram, WordPiece). `kinds` are of the whole vocabulary. */
export type VocabularyPage = { type: string; total: number; matched: number; kinds: Record<TokenKind, number>; entries: VocabularyEntry[] };

const one = z.strictObject({ model: z.string().min(1) });
const two = z.strictObject({ model: z.string().min(1), other: z.string().min(1) });

export const inspection = {
  get: oc.input(one).output(type<Inspection>()),
  vocabulary: oc.input(VocabularyQuery).output(type<VocabularyPage>()),
  /** Null until `weigh` has found them. */
  numbers: oc.input(one).output(type<TensorNumbers[] | null>()),
  /** A task; one that runs already goes on. */
  weigh: oc.input(one).output(type<{ taskId: number }>()),
  /** Of `model` against `other`; null until `compare` has found them. */
  changes: oc.input(two).output(type<WeightChanges | null>()),
  compare: oc.input(two).output(type<{ taskId: number }>()),
};
