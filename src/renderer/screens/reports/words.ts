/** Words of this screen for what the contract calls by short names. */
import type { MethodReport, ReportPart, ReportStatus } from '../../../shared/method-report.ts';
import { methodName } from '../../components/method-names.ts';
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';

const STATUS: Record<ReportStatus, () => string> = {
  running: m.reports_status_running, done: m.reports_status_done, stopped: m.reports_status_stopped, failed: m.reports_status_failed, interrupted: m.reports_status_interrupted,
};
export const statusTitle = (status: ReportStatus): string => STATUS[status]();
export const statusTone = (status: ReportStatus): 'good' | 'warn' | 'bad' | 'info' => ({ running: 'info', done: 'good', stopped: 'warn', failed: 'bad', interrupted: 'warn' } as const)[status];

/** `base`, SFT, DPO. */
export function methodTitle(part: ReportPart): string {
  if (part === 'base') return m.reports_base();
  if (part === 'gold') return m.reports_gold_model();
  return part === 'simpo' ? 'SimPO' : methodName(part);
}

/** What decides: a rule, the report's own reward model, or one of the library. */
export function judgeTitle(judge: string): string {
  return judge === 'rule' ? m.reports_judge_rule() : judge === 'gold' ? m.reports_gold_model() : judge;
}

export function doingTitle(doing: NonNullable<MethodReport['doing']>): string {
  const method = methodTitle(doing.method);
  return doing.stage === 'train' ? m.reports_training({ method }) : m.reports_measuring({ method, done: formatCount(doing.done), total: formatCount(doing.total) });
}

/** Trainings and measurements: how many there are, and how many are done. */
export function stages({ entries }: MethodReport): { done: number; total: number } {
  const all = entries.flatMap(({ method, trained, measure }) => (method === 'base' ? [measure] : method === 'reward' || method === 'gold' ? [trained] : [trained, measure]));
  return { done: all.filter((stage) => stage !== null).length, total: all.length };
}
