/**
 * What any judge of two answers is to its callers: a model asked by a rubric (rubric.ts), or anything else that can say how much better one answer
 * is than the other. A judge that scores each answer by itself says the same in both places.
 */
import type { Judgement } from '../../shared/judging.ts';
import type { PreferenceExample } from '../../shared/dataset.ts';

/** In the order of the pairs; null for a pair it cannot read. */
export type Judge = (pairs: PreferenceExample[]) => Promise<(Judgement | null)[]>;
