/**
 * One run as a stream: everything there is, then what is new since, its steps gathered (live.ts). It reads the library, where whoever
 * drives the run has written it: so a run of another process is watched alike, and a window that comes back misses nothing.
 */
import type { RunDetail, RunEvent, RunProgress } from '../../shared/api/runs.ts';
import { listLogAfter, listLogTail } from '../db/run-log.ts';
import { getRun } from '../db/runs.ts';
import { listSamplesAfter } from '../db/samples.ts';
import type { Library } from '../library.ts';
import { readCurves } from './curves.ts';
import { getRunById, openRun } from './index.ts';
import type { RunQueue } from './live.ts';
import { detail } from './summaries.ts';

/** From a change told by the queue to the look at it, and between looks without one (longer than the queue's own pace), ms. */
const PACE = 100;
const POLL = 2000;
const LOG_TAIL = 500;

/** Throws at once when there is no such run: a window then says so, and does not try again. */
export function watchRun(library: Library, queue: RunQueue, id: number, signal?: AbortSignal): AsyncGenerator<RunEvent, void, void> {
  getRunById(library, id);
  return follow(library, queue, id, signal);
}

async function* follow(library: Library, queue: RunQueue, id: number, signal?: AbortSignal): AsyncGenerator<RunEvent, void, void> {
  const { db } = library;
  const changed = createWaker(queue, id, signal);
  const seen = { attempt: -1, step: -1, sampleStep: -1, logId: 0, detail: '', progress: '' };
  let started = false;

  try {
    for (;;) {
      const row = signal?.aborted ? undefined : getRun(db, id);
      if (!row) return;
      const run = openRun(library, row);
      const now = detail(library, run, queue.state(id));
      const anew = !started || run.attempt !== seen.attempt;
      if (anew) Object.assign(seen, { attempt: run.attempt, step: -1, sampleStep: -1 });
      started = true;

      const samples = listSamplesAfter(db, id, seen.sampleStep);
      const lines = anew ? listLogTail(db, id, LOG_TAIL) : listLogAfter(db, id, seen.logId);
      seen.sampleStep = samples.at(-1)?.step ?? seen.sampleStep;
      seen.logId = lines.at(-1)?.id ?? seen.logId;
      const progress = now.status === 'running' || now.status === 'paused' ? run.progress : null;

      const log = lines.map(({ at, text }) => ({ at, text }));
      let snapshot = anew;
      for await (const curves of readCurves(library, id, seen.step)) {
        if (signal?.aborted) return;
        if (snapshot) yield { type: 'snapshot', run: now, curves, samples, log, progress };
        else if (curves.steps.length > 0) yield { type: 'points', curves };
        snapshot = false;
        seen.step = curves.steps.at(-1) ?? seen.step;
      }
      const isNew = { detail: note(seen, 'detail', now), progress: note(seen, 'progress', progress) };
      if (!anew) {
        if (isNew.detail) yield { type: 'run', run: now };
        if (samples.length > 0) yield { type: 'samples', samples };
        if (log.length > 0) yield { type: 'log', lines: log };
        if (progress && isNew.progress) yield { type: 'progress', progress };
      }
      await changed.wait();
    }
  } finally {
    changed.close();
  }
}

/** Whether it is another than was seen last. */
function note(seen: Record<'detail' | 'progress', string>, what: 'detail' | 'progress', now: RunDetail | RunProgress | null): boolean {
  const text = JSON.stringify(now);
  const isNew = text !== seen[what];
  seen[what] = text;
  return isNew;
}

/** `wait` ends PACE after a change (one told since the last wait counts), after POLL without one, or when the signal aborts. */
function createWaker(queue: RunQueue, id: number, signal?: AbortSignal): { wait(): Promise<void>; close(): void } {
  let dirty = false;
  let wake = (): void => {};
  const off = queue.onChange((changed) => {
    if (changed !== id) return;
    dirty = true;
    wake();
  });
  const onAbort = (): void => wake();
  signal?.addEventListener('abort', onAbort);
  const sleep = (milliseconds: number, early: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        wake = () => {};
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      wake = () => {
        if (early()) end();
      };
      wake();
    });
  return {
    async wait() {
      await sleep(POLL, () => dirty || signal?.aborted === true);
      if (!dirty) return;
      dirty = false;
      await sleep(PACE, () => signal?.aborted === true); // changes come together: a checkpoint, its log line, its samples
    },
    close() {
      off();
      signal?.removeEventListener('abort', onAbort);
    },
  };
}
