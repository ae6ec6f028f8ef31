/**
 * The window's line to main and what every screen shares: connection, about, settings, tasks, and the stream of changes.
 * `api` is the typed client: calls wait until the line is up. `stream` follows an event stream for as long as it is wanted, over reconnects.
 */
import { createORPCClient } from '@orpc/client';
import type { About, Settings, Task, Topic } from '../../shared/api/workbench.ts';
import { type Client, connect, type Connection } from './client.ts';

/** Waits between attempts to connect again, ms. */
const RETRY = 500;

class WorkbenchState {
  connection = $state<'connecting' | 'up' | 'down'>('connecting');
  about = $state<About | null>(null);
  settings = $state<Settings | null>(null);
  tasks = $state<Task[]>([]);
}
export const workbench = new WorkbenchState();

let current: Promise<Connection> = connectAgain();

/** The typed client. */
export const api: Client = createORPCClient({
  async call(path, input, options) {
    const { client } = await current;
    const procedure = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], client) as (input: unknown, options: unknown) => Promise<unknown>;
    return procedure(input, options);
  },
});

async function connectAgain(): Promise<Connection> {
  for (;;) {
    try {
      const connection = await connect();
      workbench.connection = 'up';
      void connection.closed.then(() => {
        workbench.connection = 'down';
        current = connectAgain();
      });
      return connection;
    } catch {
      workbench.connection = 'down';
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}

/**
 * Follows a stream until the returned function is called; when the line or main was away it opens it again, so every stream of the contract
 * begins with all there is. `onError` hears what main refuses (a run that is gone): then it ends.
 */
export function stream<T>(
  open: (signal: AbortSignal) => Promise<AsyncIterable<T>>,
  onEvent: (event: T) => void,
  onError: (message: string) => void = () => {},
): () => void {
  const controller = new AbortController();
  void (async () => {
    while (!controller.signal.aborted) {
      try {
        for await (const event of await open(controller.signal)) {
          if (controller.signal.aborted) return;
          onEvent(event);
        }
      } catch (error) {
        if (controller.signal.aborted) return;
        const code = (error as { code?: string }).code;
        if (code === 'BAD_REQUEST' || code === 'NOT_FOUND') return onError((error as Error).message);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  })();
  return () => controller.abort();
}

let listeners: ((topics: Topic[]) => void)[] = [];

/** Called with every change of the library, and with all topics when the line comes back. Returns how to stop. */
export function onChange(listener: (topics: Topic[]) => void): () => void {
  listeners = [...listeners, listener];
  return () => {
    listeners = listeners.filter((other) => other !== listener);
  };
}

/** Opens what every screen shares; called once by App. */
export function startWorkbench(): () => void {
  const stops = [
    stream((signal) => api.workbench.changes(undefined, { signal }), ({ topics }) => {
      for (const listener of listeners) listener(topics);
    }),
    stream((signal) => api.tasks.watch(undefined, { signal }), (tasks) => {
      workbench.tasks = tasks;
    }),
    onChange((topics) => {
      if (topics.includes('settings')) void load();
    }),
  ];
  const load = async (): Promise<void> => {
    await Promise.all([settle(() => api.workbench.settings()), api.workbench.about().then((about) => (workbench.about = about))]);
  };
  return () => {
    for (const stop of stops) stop();
  };
}

export async function saveSettings(changes: Partial<Settings>): Promise<void> {
  await settle(() => api.workbench.saveSettings(changes));
}

let asked = 0;
let answered = 0;

/** The answer of an older asking never overtakes that of a newer one. */
async function settle(ask: () => Promise<Settings>): Promise<void> {
  const number = ++asked;
  const settings = await ask();
  if (number < answered) return;
  answered = number;
  workbench.settings = settings;
}
