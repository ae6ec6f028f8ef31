/** Best of N for the command line and the window: the reward models a selection names are found, the engine samples and chooses, and the report is stored. */
import type { BestOfResult, Selection } from '../../shared/best-of.ts';
import type { Constraint } from '../../shared/constraint.ts';
import type { Template } from '../../shared/dataset.ts';
import type { Prompt } from '../../shared/job.ts';
import type { Sampling } from '../../shared/sampling.ts';
import { insertSamplingReport } from '../db/sampling-reports.ts';
import { askEngineStoppably } from '../exports/index.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import type { Machine } from '../runs/index.ts';

export type BestOfOptions = {
  model: string;
  prompts: { prompt: Prompt; expected: string | null }[];
  sampling: Sampling;
  count: number;
  selection: Selection;
  constraint?: Constraint;
  /** By default the model's own. */
  template?: Template;
  machine?: Machine;
  signal?: AbortSignal;
  onCount?: (done: number, total: number) => void;
};

export async function bestOf(library: Library, options: BestOfOptions): Promise<BestOfResult & { id: number }> {
  const { prompts, sampling, count, selection, constraint, machine, signal, onCount } = options;
  const model = resolveModel(library, options.model);
  const rewards = selection.by === 'logprob' ? [] : selection.rewards;
  const named = rewards.filter((reward) => reward.type === 'model').map((reward) => reward.model);
  const models = Object.fromEntries(named.map((name) => {
    const { path, template } = resolveModel(library, name);
    return [name, { path, template }];
  }));
  const { device = 'native', threads = 0 } = machine ?? {};
  const job = { type: 'best-of' as const, device, threads, model: model.path, template: options.template ?? model.template, prompts, sampling, constraint, count, selection, models };
  const result = await askEngineStoppably<BestOfResult>(job, { signal, onCount });
  return { ...result, id: insertSamplingReport(library.db, model.name, { kind: 'best-of', count, selection, sampling, constraint, result }) };
}
