/**
 * The browser host's HTTP server: the window's files, uploads, and the upgrade to RPC. It asks guard.ts first, always; it knows no
 * procedure. There are no CORS headers: no other origin has business here.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { contentHeaders } from '../content-policy.ts';
import { readRendererFile, rendererSources } from '../renderer-files.ts';
import { UserError } from '../user-error.ts';
import type { Guard } from './guard.ts';
import type { RpcSockets } from './rpc-socket.ts';
import { receiveUpload } from './uploads.ts';

const UPLOAD = '/upload/';
const RPC = '/rpc';

const NO_SESSION = 'Attune: this window has no session. Open the URL that attune printed when it started (it ends with ?token=…).';
const WRONG_HOST = 'Attune: this name is not one it serves. Open the URL that attune printed when it started.';
const WRONG_ORIGIN = 'Attune: the request comes from another site.';

export type Serving = {
  guard: Guard;
  sockets: RpcSockets;
  /** Folder of the built window, or a dev server's URL. */
  renderer: string;
  /** Folder for dropped files. */
  uploads: string;
};

/** To be called as soon as the server listens: the guard knows the port then, and no request has come yet. */
export function answerRequests(server: Server, serving: Serving): void {
  server.on('request', (request, response) => {
    answer(serving, request, response).catch((error: unknown) => {
      if (response.destroyed) return; // the window is gone
      if (!(error instanceof UserError)) console.error((error as Error).stack);
      say(response, error instanceof UserError ? 400 : 500, (error as Error).message);
    });
  });
  server.on('upgrade', (request, socket, head) => {
    const { guard, sockets } = serving;
    const refused = refusal(guard, request, true) ?? (target(request).pathname === RPC ? null : ([404, 'Not Found'] as const));
    if (refused) refuse(socket, refused[0]);
    else sockets.accept(request, socket, head);
  });
  server.requestTimeout = 0; // a dropped file may take as long as it takes
}

async function answer({ guard, renderer, uploads }: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const connect = guard.knowsHost(request.headers) ? [`ws://${request.headers.host}`, ...rendererSources(renderer)] : [];
  for (const [name, value] of Object.entries(contentHeaders(connect))) response.setHeader(name, value);
  const { pathname, search, searchParams } = target(request);
  const reading = request.method === 'GET' || request.method === 'HEAD';

  // the token becomes a cookie, and leaves the address bar
  if (reading && pathname === '/' && guard.knowsHost(request.headers) && guard.admits(searchParams.get('token'))) {
    response.writeHead(303, { 'Set-Cookie': guard.cookie, Location: '/', 'Cache-Control': 'no-store' }).end();
    return;
  }
  const refused = refusal(guard, request, !reading);
  if (refused) return say(response, ...refused);

  if (request.method === 'POST' && pathname.startsWith(UPLOAD)) {
    const uploaded = await receiveUpload(uploads, pathname.slice(UPLOAD.length), request);
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(uploaded));
    return;
  }
  if (!reading) return say(response, 405, `Attune: ${request.method} is not for this address.`);
  const file = await readRendererFile(renderer, pathname + search);
  if (file) {
    const headers = { ...file.headers, 'Content-Length': file.content.length };
    response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : file.content);
  } else if (pathname === '/') say(response, 503, `Attune: the window is not built (${renderer} has no index.html): npm start builds it.`);
  else say(response, 404, 'Attune: there is nothing at this address.');
}

/** Status and sentence, or null when the request may pass. */
function refusal(guard: Guard, request: IncomingMessage, changes: boolean): [status: number, sentence: string] | null {
  if (!guard.knowsHost(request.headers)) return [403, WRONG_HOST];
  if (changes && !guard.isOwnOrigin(request.headers)) return [403, WRONG_ORIGIN];
  if (!guard.hasSession(request.headers)) return [401, NO_SESSION];
  return null;
}

function target(request: IncomingMessage): URL {
  return URL.parse(`http://attune${request.url}`) ?? new URL('http://attune/not-a-path');
}

function say(response: ServerResponse, status: number, sentence: string): void {
  if (response.headersSent) return void response.destroy();
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', Connection: 'close' };
  response.writeHead(status, headers).end(`${sentence}\n`);
}

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
