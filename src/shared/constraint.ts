/**
 * What an answer must be: one of a list, a match of a regular expression, JSON (of a schema), or a sentence of a grammar. One schema for the
 * command line, the playground, the server and the engine. How it is enforced: src/engine/sampling/constraint.
 */
import { z } from 'zod';

/** `mask`: nothing else can be drawn. `repair`: drawn freely, and mended afterwards where it is not what was asked for (JSON alone). */
const enforce = z.enum(['mask', 'repair']).default('mask');
const after = z.string().min(1).optional().describe('free text first, up to and with this string; what follows it is constrained');

export const Constraint = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('choices'), choices: z.array(z.string().min(1)).min(1), after }),
  z.strictObject({ type: z.literal('regex'), pattern: z.string().min(1), after }),
  z.strictObject({ type: z.literal('jsonSchema'), schema: z.union([z.boolean(), z.record(z.string(), z.unknown())]), enforce, after }),
  z.strictObject({ type: z.literal('jsonObject'), enforce, after }),
  z.strictObject({ type: z.literal('grammar'), grammar: z.string().min(1), after }),
]);
export type Constraint = z.infer<typeof Constraint>;

/**
 * Whether an answer is what was asked for, found by reading it again: `reason` says in one sentence what is wrong, else null. `repaired`: the text
 * that is, mended from one that was not; only where that was asked for.
 */
export type Validity = { valid: boolean; reason: string | null; repaired?: string };

/** Of answers that something was asked of: as asked, mended to be so, and neither. */
export type ValidityCount = { valid: number; repaired: number; broken: number };

/** Answers of which nothing was asked count nowhere; null where there are no others. */
export function countValidity(answers: { validity?: Validity | null }[]): ValidityCount | null {
  const count = { valid: 0, repaired: 0, broken: 0 };
  for (const { validity } of answers) if (validity) count[!validity.valid ? 'broken' : validity.repaired !== undefined ? 'repaired' : 'valid']++;
  return count.valid + count.repaired + count.broken === 0 ? null : count;
}

/** Why a constraint is refused: `pointer` is the place in a schema, `line` in a grammar (from 1). */
export type ConstraintProblem = { message: string; pointer: string | null; line: number | null };
