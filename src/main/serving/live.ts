/**
 * The model that the workbench serves: one at a time, started and stopped by a person, watched by every window. It ends with the workbench.
 * What a request is and who may ask stands in model-server.ts and below.
 */
import { EventPublisher } from '@orpc/server';
import type { ServingState } from '../../shared/api/serving.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { readSettings } from '../settings.ts';
import { UserError } from '../user-error.ts';
import { type ModelServer, openModelServer } from './model-server.ts';

/** The state is told at most this often, ms. */
const PACE = 250;

export type LiveServing = {
  start(options: { model: string; port: number; token: string | null }): Promise<void>;
  stop(): Promise<void>;
  watch(signal?: AbortSignal): AsyncGenerator<ServingState, void, void>;
  close(): Promise<void>;
};

export function createServing(library: Library): LiveServing {
  const publisher = new EventPublisher<{ state: ServingState }>({ maxBufferedEvents: 1 });
  let phase: ServingState['state'] = 'off';
  let model: string | null = null;
  let error: string | null = null;
  let server: ModelServer | null = null;
  /** What is under way: start and stop take turns. */
  let turn: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  let closed = false;

  const state = (): ServingState => ({
    state: phase, model, error,
    url: server?.url ?? null,
    token: server?.token ?? null,
    contextLength: server?.backend.served.contextLength ?? null,
    requests: server?.activity.list() ?? [],
    tokensPerSecond: server?.activity.tokensPerSecond() ?? 0,
  });
  const tell = (): void => {
    timer ??= setTimeout(() => {
      timer = null;
      publisher.publish('state', state());
      if (server && server.activity.tokensPerSecond() > 0) tell(); // its speed falls while nothing happens
    }, PACE);
  };
  const set = (to: ServingState['state'], why: string | null = null): void => {
    phase = to;
    error = why;
    tell();
  };

  async function start(options: { model: string; port: number; token: string | null }): Promise<void> {
    if (closed) throw new Error('Attune is closing');
    if (server) throw new UserError(`${model} is served already: stop it first`);
    const found = resolveModel(library, options.model, []);
    model = found.name;
    set('loading');
    try {
      server = await openModelServer({
        job: { type: 'serve', device: readSettings(library).device, threads: 0, model: found.path, template: found.template, dtype: 'stored' },
        name: found.name, host: '127.0.0.1', port: options.port, token: options.token, onChange: tell,
      });
    } catch (failure) {
      set('failed', (failure as Error).message);
      throw failure;
    }
    const started = server;
    set('on');
    void started.ended.then((how) => {
      if (server !== started) return;
      server = null;
      if (how === null) set('off');
      else set('failed', how);
    });
  }

  async function stop(): Promise<void> {
    const stopped = server;
    server = null;
    await stopped?.close();
    set('off');
  }

  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };

  return {
    start: (options) => inTurn(() => start(options)),
    stop: () => inTurn(stop),
    async *watch(signal) {
      const states = publisher.subscribe('state', { signal });
      yield state();
      yield* states;
    },
    async close() {
      closed = true;
      await inTurn(stop);
      if (timer) clearTimeout(timer);
    },
  };
}
