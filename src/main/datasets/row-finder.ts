/** Asks the thread that finds rows (find-thread.ts), which starts with the first question. What the answers are for is live.ts's affair. */
import { Worker } from 'node:worker_threads';
import type { RowFilter } from '../../shared/api/datasets.ts';
import { FIND_THREAD } from '../paths.ts';
import type { SearchedDataset } from './find-rows.ts';
import type { Asked, Told } from './find-thread.ts';

export type RowFinder = {
  /** Ids of the rows, in order. With a text in the filter the index must be up to date. */
  find(dataset: SearchedDataset, filter: RowFilter): Promise<Float64Array>;
  /** Rows the search index has yet to take in. */
  pending(dataset: SearchedDataset): Promise<number>;
  index(dataset: SearchedDataset, onProgress: (done: number, total: number) => void, signal?: AbortSignal): Promise<void>;
  /** Lets go of the dataset's search index, so that its file can be deleted. */
  forget(dataset: SearchedDataset): Promise<void>;
  close(): Promise<void>;
};

type Question = { [K in Asked['type']]: Omit<Extract<Asked, { type: K }>, 'id'> }[Asked['type']];
type Waiting = { resolve(value: never): void; reject(error: Error): void; onProgress?: (done: number, total: number) => void };

export function createRowFinder(library: string): RowFinder {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let lastId = 0;

  function fail(error: Error): void {
    worker = null;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  function start(): Worker {
    const started = new Worker(FIND_THREAD, { workerData: { library }, execArgv: [] });
    started.unref();
    started.on('message', (told: Told) => {
      const asked = waiting.get(told.id)!;
      if ('progress' in told) return asked.onProgress?.(told.progress.done, told.progress.total);
      waiting.delete(told.id);
      if (waiting.size === 0) started.unref();
      if ('error' in told) asked.reject(new Error(told.error));
      else asked.resolve(told.value as never);
    });
    started.on('error', fail);
    started.on('exit', () => fail(new Error('the thread that finds rows ended')));
    return started;
  }

  function ask<T>(asked: Question, { onProgress, signal }: Pick<Waiting, 'onProgress'> & { signal?: AbortSignal } = {}): Promise<T> {
    const id = ++lastId;
    worker ??= start();
    worker.ref(); // a question keeps the process alive, the thread alone does not
    const port = worker;
    const answer = new Promise<T>((resolve, reject) => waiting.set(id, { resolve, reject, onProgress }));
    port.postMessage({ ...asked, id });
    signal?.addEventListener('abort', () => port.postMessage({ id, type: 'cancel' } satisfies Asked), { once: true });
    return answer;
  }

  return {
    find: (dataset, filter) => ask({ type: 'find', dataset, filter }),
    pending: (dataset) => ask({ type: 'pending', dataset }),
    index: (dataset, onProgress, signal) => ask({ type: 'index', dataset }, { onProgress, signal }),
    forget: async (dataset) => void (worker && (await ask({ type: 'forget', dataset }))),
    close: async () => void (await worker?.terminate()),
  };
}
