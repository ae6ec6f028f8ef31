/** Best of N and consistency as the window asks for them: started as tasks, listed, read, removed. */
import type { SamplingReport, SamplingReportSummary } from '../../shared/api/sampling-reports.ts';
import type { Selection } from '../../shared/best-of.ts';
import type { Rephrasing } from '../../shared/consistency.ts';
import type { Constraint } from '../../shared/constraint.ts';
import type { Example } from '../../shared/prompt-template.ts';
import type { Sampling } from '../../shared/sampling.ts';
import { deleteSamplingReport, getSamplingReport, listSamplingReports } from '../db/sampling-reports.ts';
import { resolveModel } from '../models/index.ts';
import { openingOf } from '../playground/conversation.ts';
import { UserError } from '../user-error.ts';
import type { Workbench } from '../workbench.ts';
import { bestOf } from './best-of.ts';
import { consistency } from './consistency.ts';

/** Reports on the list. */
const LISTED = 50;

type Context = Pick<Workbench, 'library' | 'tasks' | 'changes'>;
type Asked = { model: string; prompt: string; system: string; examples: Example[]; count: number; sampling: Sampling; constraint?: Constraint };

export function listReports({ library }: Context): SamplingReportSummary[] {
  return listSamplingReports(library.db, LISTED).map((report) => ({
    id: report.id, kind: report.kind, model: report.model, count: report.count, createdAt: report.createdAt,
    prompt: report.kind === 'best-of' ? report.result.prompts[0].prompt : report.result.prompt,
  }));
}

export function getReport({ library }: Context, id: number): SamplingReport {
  const report = getSamplingReport(library.db, id);
  if (!report) throw new UserError('this report is not in the library any more');
  return report;
}

export function removeReport({ library, changes }: Context, id: number): void {
  deleteSamplingReport(library.db, id);
  changes.tell('playground');
}

export function startBestOf(context: Context, { prompt, system, examples, expected, ...asked }: Asked & { expected?: string; selection: Selection }): { taskId: number } {
  const prompts = [{ prompt: { messages: [...openingOf({ system, examples }), { role: 'user' as const, content: prompt }] }, expected: expected ?? null }];
  return startTask(context, 'best-of', asked.model, (control) => bestOf(context.library, { ...asked, prompts, ...control }));
}

export function startConsistency(context: Context, { system, examples, ...asked }: Asked & { rephrasings: Rephrasing[] }): { taskId: number } {
  return startTask(context, 'consistency', asked.model, (control) => consistency(context.library, { ...asked, before: openingOf({ system, examples }), ...control }));
}

type Control = { signal: AbortSignal; onCount: (done: number, total: number) => void };

function startTask({ library, tasks, changes }: Context, kind: 'best-of' | 'consistency', model: string, work: (control: Control) => Promise<{ id: number }>): { taskId: number } {
  resolveModel(library, model);
  const { id } = tasks.start({ kind, subject: model, unit: 'answers' }, async ({ progress, signal }) => {
    const report = await work({ signal, onCount: progress });
    changes.tell('playground');
    return String(report.id);
  });
  return { taskId: id };
}
