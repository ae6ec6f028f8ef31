/**
 * The HTTP face of a served model: OpenAI's paths, JSON or server-sent events. It asks the guard first, then for the bearer token, then
 * for room; a body is read up to a limit and checked whole before anything is computed. A client that goes away cancels what it asked for.
 * No CORS headers: no page of another origin has business here.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ServedEvent } from '../../shared/serving.ts';
import type { Guard } from '../host/guard.ts';
import { type Activity, MOST_OPEN } from './activity.ts';
import { ApiError, errorBody } from './api-error.ts';
import type { AnswerEvent, Backend } from './backend.ts';
import { createReply, embeddingsReply, type Endpoint } from './replies.ts';
import { type Asked, readChat, readCompletion, readEmbedding } from './requests.ts';

/** Bytes of a body. */
const MOST_BODY = 8 * 2 ** 20;
/** Connections at once; a further one is closed. */
const MOST_CONNECTIONS = 1024;

export type Serving = { guard: Guard; backend: Backend; activity: Activity; /** The one model's. */ name: string; /** Seconds since 1970. */ created: number };

export function answerRequests(server: Server, serving: Serving): void {
  server.maxConnections = MOST_CONNECTIONS;
  server.on('request', (request, response) => {
    answer(serving, request, response).catch((error: unknown) => {
      if (response.destroyed) return; // the client is gone
      if (!(error instanceof ApiError)) console.error((error as Error).stack);
      const told = error instanceof ApiError ? error : new ApiError(500, (error as Error).message);
      if (response.headersSent) response.destroy();
      else send(response, told.status, errorBody(told));
    });
  });
}

async function answer(serving: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { guard, name, created } = serving;
  const { pathname } = URL.parse(`http://attune${request.url}`) ?? new URL('http://attune/not-a-path');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cache-Control', 'no-store');
  checkCaller(guard, request);

  const model = { id: name, object: 'model', created, owned_by: 'attune' };
  const call = `${request.method} ${pathname}`;
  if (call === 'GET /v1/models') return send(response, 200, { object: 'list', data: [model] });
  if (request.method === 'GET' && pathname.startsWith('/v1/models/')) {
    const asked = decodeURIComponent(pathname.slice('/v1/models/'.length));
    if (asked !== name) throw new ApiError(404, `The model '${asked}' does not exist: this server has '${name}'`, { code: 'model_not_found', param: 'model' });
    return send(response, 200, model);
  }
  switch (call) {
    case 'POST /v1/chat/completions':
      return complete(serving, 'chat', readChat(await readBody(request), name), response);
    case 'POST /v1/completions':
      return complete(serving, 'completion', readCompletion(await readBody(request), name), response);
    case 'POST /v1/embeddings':
      return embed(serving, await readBody(request), response);
  }
  throw new ApiError(404, `Unknown request URL: ${request.method} ${pathname}. This server has /v1/models, /v1/chat/completions, /v1/completions and /v1/embeddings`, { code: 'unknown_url' });
}

function checkCaller(guard: Guard, { headers }: IncomingMessage): void {
  if (!guard.knowsHost(headers)) throw new ApiError(403, 'This name is not one the server has: use the address that attune printed', { code: 'host_not_allowed' });
  if (headers.origin !== undefined && !guard.isOwnOrigin(headers)) throw new ApiError(403, 'The request comes from a page of another site', { code: 'origin_not_allowed' });
  const [, token] = /^Bearer (.+)$/i.exec(headers.authorization ?? '') ?? [];
  if (!token) throw new ApiError(401, "You didn't provide an API key: send the server's token as Authorization: Bearer TOKEN", { code: 'invalid_api_key' });
  if (!guard.admits(token)) throw new ApiError(401, "Incorrect API key provided: it is the server's token", { code: 'invalid_api_key' });
}

async function complete(serving: Serving, endpoint: Endpoint, asked: Asked, response: ServerResponse): Promise<void> {
  const { request, stream, includeUsage } = asked;
  const id = `${endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomBytes(12).toString('hex')}`;
  const reply = createReply(endpoint, asked, { id, model: serving.name, created: Math.floor(Date.now() / 1000) });
  await ask(serving, endpoint === 'chat' ? 'chat/completions' : 'completions', request, response, (event) => {
    const chunks = reply.hear(event);
    if (!stream || chunks.length === 0) return;
    if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write(chunks.map(serverSent).join(''));
  });
  if (!stream) return send(response, 200, reply.whole());
  response.end(`${includeUsage ? serverSent(reply.usageChunk()) : ''}data: [DONE]\n\n`);
}

async function embed(serving: Serving, body: unknown, response: ServerResponse): Promise<void> {
  const { request, base64 } = readEmbedding(body, serving.name);
  const events: ServedEvent[] = [];
  await ask(serving, 'embeddings', request, response, (event) => events.push(event));
  send(response, 200, embeddingsReply(events, serving.name, base64));
}

/** Resolves with the answer's last event; throws what the client is told otherwise. A client that is gone is never answered. */
function ask(
  { backend, activity }: Serving,
  endpoint: Parameters<Activity['track']>[0],
  request: Parameters<Backend['ask']>[0],
  response: ServerResponse,
  hear: (event: ServedEvent) => void,
): Promise<void> {
  const choices = request.type === 'embed' ? request.inputs.length : request.prompts.length * request.n;
  if (choices > MOST_OPEN) throw new ApiError(400, `${choices} completions in one request: at most ${MOST_OPEN}`, { code: 'invalid_value' });
  if (!activity.hasRoom(choices)) {
    response.setHeader('Retry-After', '1');
    throw new ApiError(429, 'The queue of this server is full: try again', { code: 'rate_limit_exceeded' });
  }
  const tracked = activity.track(endpoint, choices);
  return new Promise((resolve, reject) => {
    const cancel = backend.ask(request, (event: AnswerEvent) => {
      tracked.hear(event);
      if (response.destroyed) return;
      if (event.type === 'finished') resolve();
      else if (event.type === 'failed') reject(new ApiError(500, event.message));
      else if (event.type === 'refused') reject(new ApiError(400, event.message, { code: event.tooLong ? 'context_length_exceeded' : 'invalid_value' }));
      else hear(event);
    });
    response.on('close', () => {
      if (response.writableFinished) return;
      tracked.cancelled();
      cancel();
    });
  });
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const tooLarge = new ApiError(413, `The body is longer than ${MOST_BODY} bytes`, { code: 'body_too_large' });
  if (Number(request.headers['content-length']) > MOST_BODY) throw tooLarge;
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MOST_BODY) throw tooLarge; // which ends the connection: it did not say how long it would be
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new ApiError(400, 'We could not parse the JSON body of your request: it must be a JSON object', { code: 'invalid_json' });
  }
}

const serverSent = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;

function send(response: ServerResponse, status: number, body: object): void {
  const content = Buffer.from(JSON.stringify(body));
  const headers: Record<string, string | number> = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': content.length };
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer';
  if (status === 413) headers.Connection = 'close';
  response.writeHead(status, headers).end(content);
}
