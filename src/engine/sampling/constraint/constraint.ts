/**
 * The seam between what an answer must be and the sampler: a compiled constraint starts one matcher a sequence, which says at each place what
 * may stand there and follows what was drawn. compile.ts makes them. Not here: any one kind of constraint, or the drawing (sample.ts).
 */
import type { Validity } from '../../../shared/constraint.ts';

/** Of one sequence. Every token `mask` lets through leads to a place from which the text can be finished within the budget. */
export interface Matcher {
  /**
   * What may come next, a bit a token id (bit id & 31 of word id >> 5), when `remaining` tokens are left, this one included. Read it before
   * the next call: it may be a cached one. The tokens that end an answer are in it where the text may end. Throws where `remaining` never sufficed.
   */
  mask(remaining: number): Int32Array;
  /** A token that the mask let through was drawn. */
  accept(id: number): void;
  /** Another one at the same place: beams go on from it in several ways. */
  fork(): Matcher;
  /** The text so far is valid as it is. */
  readonly complete: boolean;
  /** It is, and nothing may follow but its end: the sampler need not draw that. */
  readonly finished: boolean;
}

export interface CompiledConstraint {
  /** Tokens that suffice for some valid text: a budget below it is refused before sampling. */
  readonly fewestTokens: number;
  start(): Matcher;
  /** False: tokens are drawn freely, and `validate` mends. */
  readonly masks: boolean;
  /** Reads a whole answer again, by other means than the matcher where there are some. */
  validate(text: string): Validity;
}

/** A constraint that cannot be enforced or has a mistake. `pointer`: where, a JSON pointer into a schema; `line`: of a grammar, from 1. */
export class ConstraintError extends Error {
  readonly pointer: string | null;
  readonly line: number | null;
  constructor(message: string, { pointer = null, line = null }: { pointer?: string | null; line?: number | null } = {}) {
    super(message);
    this.pointer = pointer;
    this.line = line;
  }
}

export const allows = (mask: Int32Array, id: number): boolean => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
