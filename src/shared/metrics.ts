/** One logged point: TRL's metric names → values, at one optimiser step. Not wall-clock truth: times are for people, never for resume. */
import { z } from 'zod';

export const MetricPoint = z.strictObject({
  step: z.int().min(0),
  /** train metrics bear no prefix; evaluation metrics are `eval_…`, as TRL logs them */
  values: z.record(z.string(), z.number()),
});
export type MetricPoint = z.infer<typeof MetricPoint>;
