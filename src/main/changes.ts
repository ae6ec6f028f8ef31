/**
 * Tells every open window that something in the library changed, by topic. A window asks again for what it shows; nothing is sent along.
 * Changes that another process made (the command line) are seen by the database's data_version, once a second.
 */
import { EventPublisher } from '@orpc/server';
import type { Topic } from '../shared/api/workbench.ts';
import type { Library } from './library.ts';

const ALL: Topic[] = ['models', 'datasets', 'runs', 'playground', 'votes', 'exports', 'settings', 'quickstart', 'reports', 'inspections'];
/** Changes within this time are told together, ms. */
const GATHER = 50;

export type Changes = {
  tell(...topics: Topic[]): void;
  /** Every topic first, then changes as they come. */
  watch(signal?: AbortSignal): AsyncGenerator<{ topics: Topic[] }, void, void>;
  close(): void;
};

export function createChanges({ db }: Library): Changes {
  const publisher = new EventPublisher<{ change: { topics: Topic[] } }>();
  const gathered = new Set<Topic>();
  let timer: NodeJS.Timeout | null = null;
  const flush = (): void => {
    timer = null;
    const topics = [...gathered];
    gathered.clear();
    publisher.publish('change', { topics });
  };
  const tell = (...topics: Topic[]): void => {
    for (const topic of topics) gathered.add(topic);
    timer ??= setTimeout(flush, GATHER);
  };
  const version = (): number => db.pragma('data_version', { simple: true }) as number;
  let seen = version();
  const poll = setInterval(() => {
    const now = version();
    if (now !== seen) tell(...ALL);
    seen = now;
  }, 1000);
  poll.unref();
  return {
    tell,
    async *watch(signal) {
      const changes = publisher.subscribe('change', { signal });
      yield { topics: ALL };
      yield* changes;
    },
    close() {
      clearInterval(poll);
      if (timer) clearTimeout(timer);
    },
  };
}
