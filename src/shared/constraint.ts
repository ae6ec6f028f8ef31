/**
 * What an answer must be: one of a list, a match of a regular expression, JSON (of a schema), or a sentence of a grammar. One schema for the
 * command line, the playground, the server and the engine. How it is enforced: src/engine/sampling/constraint.
 */
import { z } from 'zod';

const after = z.string().min(1).optional().describe('free text first, up to and with this string; what follows it is constrained');

export const Constraint = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('choices'), choices: z.array(z.string().min(1)).min(1), after }),
  z.strictObject({ type: z.literal('regex'), pattern: z.string().min(1), after }),
  z.strictObject({ type: z.literal('jsonSchema'), schema: z.union([z.boolean(), z.record(z.string(), z.unknown())]), after }),
  z.strictObject({ type: z.literal('jsonObject'), after }),
  z.strictObject({ type: z.literal('grammar'), grammar: z.string().min(1), after }),
]);
export type Constraint = z.infer<typeof Constraint>;

/** Whether an answer is what was asked for, found by reading it again: `reason` says in one sentence what is wrong, else null. */
export type Validity = { valid: boolean; reason: string | null };
