/** What runs and metrics are called on screen. Metrics keep TRL's names: people look them up. */
import type { RunStatus, RunSummary } from '../../../shared/api/runs.ts';
import { formatMetric, formatPercent } from '../../format.ts';
import * as m from '../../paraglide/messages.js';

export const STATUSES: RunStatus[] = ['running', 'paused', 'queued', 'finished', 'stopped', 'interrupted', 'failed'];

const statuses: Record<RunStatus, () => string> = {
  queued: m.runs_status_queued,
  running: m.runs_status_running,
  paused: m.runs_status_paused,
  finished: m.runs_status_finished,
  stopped: m.runs_status_stopped,
  failed: m.runs_status_failed,
  interrupted: m.runs_status_interrupted,
};

export function statusName(status: RunStatus): string {
  return statuses[status]();
}

export function statusWord({ status, asked }: Pick<RunSummary, 'status' | 'asked'>): string {
  if (asked === 'pause' && status === 'running') return m.runs_pausing();
  if (asked === 'stop' && (status === 'running' || status === 'paused')) return m.runs_stopping();
  return statuses[status]();
}

/** A file or folder by its last part; names of the library as they are. */
export function shortName(nameOrPath: string): string {
  return /[\\/]/.test(nameOrPath) ? nameOrPath.split(/[\\/]/).findLast((part) => part !== '')! : nameOrPath;
}

/** Shares read as percent, everything else as metrics do. */
export function showMetric(name: string, value: number | undefined): string {
  if (value === undefined) return '–';
  return /accurac/.test(name) ? formatPercent(value) : formatMetric(value);
}

/** The last held-out value if there is one, else the training one. */
export function lastOf(run: Pick<RunSummary, 'last'>, name: string): number | undefined {
  return run.last[`eval_${name}`] ?? run.last[name];
}

/** Seconds left at the speed so far; null while nothing is known. */
export function secondsLeft({ status, step, totalSteps, seconds }: RunSummary): number | null {
  return status === 'running' && step > 0 && seconds > 0 ? (seconds / step) * (totalSteps - step) : null;
}
