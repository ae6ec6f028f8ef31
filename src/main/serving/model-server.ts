/** A model behind a port: its engine, then the server before it. Closing takes both away; an engine that dies closes the server. */
import { createServer } from 'node:http';
import type { ServeJob } from '../../shared/job.ts';
import { createGuard } from '../host/guard.ts';
import { hostNames, listen, serverUrl } from '../host/listen.ts';
import { UserError } from '../user-error.ts';
import { type Activity, createActivity } from './activity.ts';
import { type Backend, openBackend } from './backend.ts';
import { answerRequests } from './http.ts';

export type ModelServer = {
  /** What clients are given as base URL. */
  url: string;
  token: string;
  backend: Backend;
  activity: Activity;
  /** Resolves when it is over: null after close, else one sentence how the engine ended. */
  ended: Promise<string | null>;
  close(): Promise<void>;
};

export type ServerOptions = {
  job: ServeJob;
  /** What clients call the model. */
  name: string;
  host: string;
  /** 0: any free one. */
  port: number;
  /** null: a new one, of 256 random bits. */
  token: string | null;
  onChange: () => void;
};

/** Loads the model, then listens; throws one sentence when either cannot be. */
export async function openModelServer({ job, name, host, port, token, onChange }: ServerOptions): Promise<ModelServer> {
  if (token !== null && !/^[\x21-\x7e]{8,}$/.test(token)) throw new UserError('the token must have at least 8 characters: letters, digits and signs, no spaces');
  const backend = await openBackend(job);
  const server = createServer();
  let got: number;
  try {
    got = await listen(server, host, port);
  } catch (error) {
    await backend.close();
    throw error;
  }
  const guard = createGuard(hostNames(host), got, token ?? undefined);
  const activity = createActivity(onChange);
  answerRequests(server, { guard, backend, activity, name, created: Math.floor(Date.now() / 1000) });
  const ended = backend.ended.finally(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `${serverUrl(host, got)}/v1`, token: guard.token, backend, activity, ended, close: () => backend.close() };
}
