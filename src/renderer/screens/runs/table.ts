/** Which runs the table shows, and in what order. Runs without a value stand last either way. */
import type { RunSummary } from '../../../shared/api/runs.ts';

export const COLUMNS = [
  'status', 'name', 'method', 'model', 'dataset', 'progress', 'loss', 'eval_loss', 'accuracy', 'margin', 'seconds', 'created',
] as const;
export type Column = (typeof COLUMNS)[number];

const ORDER: RunSummary['status'][] = ['running', 'paused', 'queued', 'interrupted', 'failed', 'stopped', 'finished'];

const keys: Record<Column, (run: RunSummary) => string | number | undefined> = {
  status: ({ status }) => ORDER.indexOf(status),
  name: ({ name }) => name,
  method: ({ method }) => method,
  model: ({ model }) => model,
  dataset: ({ dataset }) => dataset,
  progress: ({ step, totalSteps }) => (totalSteps ? step / totalSteps : undefined),
  loss: ({ last }) => last.loss,
  eval_loss: ({ last }) => last.eval_loss,
  accuracy: ({ last }) => last['eval_rewards/accuracies'] ?? last['rewards/accuracies'],
  margin: ({ last }) => last['eval_rewards/margins'] ?? last['rewards/margins'],
  seconds: ({ seconds }) => (seconds > 0 ? seconds : undefined),
  created: ({ createdAt, id }) => `${createdAt} ${String(id).padStart(9, '0')}`,
};

/** `status` and `method`: '' for every one. */
export function listed(runs: RunSummary[], wanted: { status: string; method: string; sort: Column; up: boolean }): RunSummary[] {
  const { status, method, sort, up } = wanted;
  const key = keys[sort];
  const kept = runs.filter((run) => (status === '' || run.status === status) && (method === '' || run.method === method));
  return kept.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
    const order = typeof x === 'string' ? x.localeCompare(y as string, undefined, { numeric: true }) : x - (y as number);
    return up ? order : -order;
  });
}
