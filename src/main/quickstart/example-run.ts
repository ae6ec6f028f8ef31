/**
 * The finished small run that ships with Attune (resources/quickstart/): what its files are. Written by scripts/resources/quickstart-run.ts,
 * which really trained it; read by seed.ts.
 */
import { z } from 'zod';
import { Message } from '../../shared/dataset.ts';
import { Recipe } from '../../shared/recipe.ts';

const values = z.record(z.string(), z.number().nullable());

export const ExampleRun = z.strictObject({
  recipe: Recipe,
  trainSha256: z.string(),
  validationSha256: z.string(),
  device: z.string(),
  engineVersion: z.string(),
  steps: z.int(),
  seconds: z.number(),
  peakMemoryBytes: z.int(),
  parameters: z.int().nullable(),
  trainableParameters: z.int().nullable(),
  startedAt: z.string(),
  finishedAt: z.string(),
  last: values,
  progress: z.strictObject({ step: z.int(), totalSteps: z.int(), tokensPerSecond: z.number(), secondsLeft: z.number(), memoryBytes: z.int().nullable() }).nullable(),
  checkpoint: z.strictObject({ step: z.int(), sha256: z.string(), best: z.boolean() }),
  metrics: z.array(z.strictObject({ step: z.int(), seconds: z.number().nullable(), values })),
  samples: z.array(z.strictObject({ step: z.int(), prompt: z.union([z.string(), z.array(Message)]), completion: z.string(), expected: z.string().nullable() })),
});
export type ExampleRun = z.infer<typeof ExampleRun>;

/** In resources/quickstart/. */
export const EXAMPLE_FILE = 'run.json';
export const EXAMPLE_CHECKPOINT = 'checkpoint';

/** The embedded data under the names it has in a new library. */
export const EMBEDDED_DATASETS = [
  { name: 'instructions', split: 'train', file: 'instructions.train.jsonl' },
  { name: 'instructions', split: 'validation', file: 'instructions.validation.jsonl' },
  { name: 'preferences', split: 'train', file: 'preferences.train.jsonl' },
  { name: 'preferences', split: 'validation', file: 'preferences.validation.jsonl' },
] as const;
