/**
 * Method reports in the workbench: one at a time, its trainings in the queue like any run. Started, stopped and gone on with from the window; what
 * it is made of is index.ts's.
 */
import { ReportSettings, type MethodReport } from '../../shared/method-report.ts';
import type { Changes } from '../changes.ts';
import { deleteMethodReport, listMethodReports } from '../db/method-reports.ts';
import { getRun } from '../db/runs.ts';
import type { Library } from '../library.ts';
import type { RunQueue } from '../runs/live.ts';
import { UserError } from '../user-error.ts';
import { claimReport, createReport, type Doing, driveReport, getReportRow, toReport, type Trainer } from './index.ts';

/** The window hears of counts this often at most, ms. */
const PACE = 300;

export type MethodReports = {
  /** Newest first. */
  list(): MethodReport[];
  get(id: number): MethodReport;
  start(settings: ReportSettings): { id: number };
  resume(id: number): void;
  /** The run under way is stopped with a checkpoint; what is measured is kept. */
  stop(id: number): void;
  /** Its runs and their models stay. */
  remove(id: number): void;
  /** Resolves when none is under way here. */
  ended(): Promise<void>;
  close(): Promise<void>;
};

export function createMethodReports({ library, changes, runs }: { library: Library; changes: Changes; runs: RunQueue }): MethodReports {
  const { db } = library;
  let current: { id: number; doing: Doing; controller: AbortController; finished: Promise<void> } | null = null;
  let timer: NodeJS.Timeout | null = null;
  const tellSoon = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      changes.tell('reports');
    }, PACE);
  };

  const trainer: Trainer = {
    create: (recipe) => runs.start(recipe).id,
    async train(id, signal) {
      const { status } = getRun(db, id)!;
      if (status === 'interrupted' || status === 'stopped') runs.resume(id);
      const stop = (): void => {
        try {
          runs.stop(id);
        } catch {
          // it has just ended by itself
        }
      };
      signal.addEventListener('abort', stop);
      await runs.ended(id);
      signal.removeEventListener('abort', stop);
    },
  };

  function refuseSecond(): void {
    if (current) throw new UserError(`${getReportRow(library, current.id).name}: this report is under way: wait for it, or stop it first`);
  }

  function go(id: number): void {
    const controller = new AbortController();
    const onProgress = (doing: Doing): void => {
      if (current) current.doing = doing;
      tellSoon();
    };
    const finished = driveReport(library, id, { trainer, signal: controller.signal, onProgress })
      .catch(() => {}) // its row says how it ended
      .finally(() => {
        current = null;
        changes.tell('reports');
      });
    current = { id, doing: null, controller, finished };
    changes.tell('reports');
  }

  const doingOf = (id: number): Doing => (current?.id === id ? current.doing : null);

  return {
    list: () => listMethodReports(db).map((row) => toReport(row, doingOf(row.id))),
    get: (id) => toReport(getReportRow(library, id), doingOf(id)),
    start(settings) {
      refuseSecond();
      const id = createReport(library, settings);
      go(id);
      return { id };
    },
    resume(id) {
      refuseSecond();
      claimReport(library, id);
      go(id);
    },
    stop(id) {
      if (current?.id !== id) throw new UserError(`${getReportRow(library, id).name}: this report is not under way here; there is nothing to stop`);
      current.controller.abort();
    },
    remove(id) {
      const { name } = getReportRow(library, id);
      if (current?.id === id) throw new UserError(`${name}: this report is under way: stop it first`);
      deleteMethodReport(db, id);
      changes.tell('reports');
    },
    ended: () => current?.finished ?? Promise.resolve(),
    async close() {
      current?.controller.abort();
      await current?.finished;
      if (timer) clearTimeout(timer);
    },
  };
}
