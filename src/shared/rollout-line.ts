/** What a run keeps of each answer it samples: a line of rollouts/step-000012.jsonl in its folder. The engine writes it, the window reads it. */
import { z } from 'zod';

/** JSON keeps every number to the last bit. */
export const RolloutLine = z.object({
  row: z.int(),
  sample: z.int(),
  prompt: z.string(),
  completion: z.string(),
  finished: z.boolean(),
  score: z.number(),
  rewards: z.record(z.string(), z.number()),
  gold: z.number().optional(),
  /** Whether the model is trained on it, where a method chooses. */
  kept: z.boolean().optional(),
  /** By how much it was better than expected, where a method says so: one number of the answer, or one a token. */
  advantages: z.array(z.number()).optional(),
  ids: z.array(z.int()),
  oldLogprobs: z.array(z.number()).optional(),
  refLogprobs: z.array(z.number()).optional(),
});
export type RolloutLine = z.infer<typeof RolloutLine>;

/** Path in the run's folder; `step` counts from 1, as people count. */
export function rolloutFile(step: number): string {
  return `rollouts/step-${String(step).padStart(6, '0')}.jsonl`;
}
