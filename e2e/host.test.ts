/**
 * The browser host as other programs of the machine meet it: real processes, real HTTP. Who gets in and who does not, what a page may do,
 * dropped files, a second start, the way out. What the window shows is the user stories' affair (*.spec.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Contract } from '../src/shared/api.ts';
import { ROOT } from './attune.ts';

type Reply = { status: number; headers: IncomingHttpHeaders; body: string };

const folder = mkdtempSync(join(tmpdir(), 'attune-host-'));
const renderer = join(folder, 'window');
const library = join(folder, 'library');
const networkLog = join(folder, 'network.log');
const started: ChildProcess[] = [];

let host: ChildProcess;
let url: URL;
let cookie: string;
let notes = '';

beforeAll(async () => {
  mkdirSync(join(renderer, 'assets'), { recursive: true });
  writeFileSync(join(renderer, 'index.html'), '<!doctype html><title>window</title>');
  writeFileSync(join(renderer, 'assets', 'index-1234.js'), 'export {};');
  writeFileSync(join(folder, 'secret.json'), '"secret"');
  writeFileSync(networkLog, '');
  for (const name of ['olddrop1', 'newdrop1']) mkdirSync(join(library, 'uploads', name), { recursive: true });
  const longAgo = new Date(Date.now() - 48 * 3600 * 1000);
  utimesSync(join(library, 'uploads', 'olddrop1'), longAgo, longAgo);
  host = start(library, [], {
    SSH_CONNECTION: '198.51.100.7 52011 192.0.2.10 2222',
    NETWORK_LOG: networkLog,
    NODE_OPTIONS: `--import ${pathToFileURL(join(ROOT, 'e2e', 'no-network.mjs')).href}`,
  });
  host.stderr!.on('data', (text: Buffer) => (notes += String(text)));
  url = await readUrl(host);
  const reply = await ask(url.pathname + url.search);
  cookie = reply.headers['set-cookie']![0].split(';')[0];
});

afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('the door', () => {
  it('turns the token of the printed URL into a strict cookie and takes it out of the address', async () => {
    const reply = await ask(url.pathname + url.search);
    expect(reply.status).toBe(303);
    expect(reply.headers.location).toBe('/');
    expect(reply.headers['set-cookie']![0]).toMatch(new RegExp(`^attune-${url.port}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/$`));
  });

  it('answers 401 with the way in to whoever has no session, a wrong token or a wrong cookie', async () => {
    const wrong = 'A'.repeat(43);
    const tries = [['/'], [`/?token=${wrong}`], ['/assets/index-1234.js', { cookie: `attune-${url.port}=${wrong}` }]] as const;
    for (const [path, headers] of tries) {
      const reply = await ask(path, { headers });
      expect(reply.status).toBe(401);
      expect(reply.body).toContain('the URL that attune printed');
      expect(reply.headers['set-cookie']).toBeUndefined();
    }
  });

  it('serves the window to a session, hashed files as unchanging', async () => {
    const page = await ask('/', { headers: { cookie } });
    expect(page.status).toBe(200);
    expect(page.body).toContain('<title>window</title>');
    expect(page.headers['cache-control']).toBe('no-cache');
    const script = await ask('/assets/index-1234.js', { headers: { cookie } });
    expect(script.headers['content-type']).toContain('text/javascript');
    expect(script.headers['cache-control']).toContain('immutable');
    expect((await ask('/nothing.js', { headers: { cookie } })).status).toBe(404);
  });

  it('refuses names that are not its own, token or not (DNS rebinding)', async () => {
    for (const name of [`evil.example:${url.port}`, '127.0.0.1', `127.0.0.1:1`, `[::1]:${Number(url.port) + 1}`]) {
      expect((await ask(url.pathname + url.search, { headers: { host: name, cookie } })).status).toBe(403);
    }
    for (const name of [`localhost:${url.port}`, `[::1]:${url.port}`]) {
      expect((await ask('/', { headers: { host: name, cookie } })).status).toBe(200);
    }
  });

  it('reaches no file outside the window, however the path is spelt', async () => {
    const up = ['/../secret.json', '/%2e%2e/secret.json', '/..%2fsecret.json', '/assets/..%2f..%2fsecret.json', '/..%5csecret.json'];
    const paths = [...up, '//secret.json', '/%00', '/%'];
    for (const path of paths) {
      const reply = await ask(path, { headers: { cookie } });
      expect([path, reply.status]).toEqual([path, 404]);
    }
  });

  it('sends the policy of the window with every answer, and never a CORS header', async () => {
    for (const reply of [await ask('/', { headers: { cookie } }), await ask('/', { headers: { origin: 'https://evil.example' } })]) {
      const policy = reply.headers['content-security-policy'] as string;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self';");
      expect(policy).not.toContain('unsafe-eval');
      expect(policy).toContain(`connect-src 'self' ws://${url.host};`);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(reply.headers['x-content-type-options']).toBe('nosniff');
      expect(reply.headers['referrer-policy']).toBe('no-referrer');
      expect(reply.headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(reply.headers['permissions-policy']).toContain('camera=()');
      expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
    expect((await ask('/', { method: 'OPTIONS', headers: { cookie, origin: 'https://evil.example' } })).status).toBe(403);
  });
});

describe('RPC', () => {
  it('carries calls and streams to a page of its own', async () => {
    const socket = new WebSocket(`ws://${url.host}/rpc`, { origin: url.origin, headers: { cookie } });
    const client: ContractRouterClient<Contract> = createORPCClient(new RPCLink({ websocket: socket as unknown as globalThis.WebSocket }));
    for await (const { topics } of await client.workbench.changes()) {
      expect(topics).toContain('runs');
      break;
    }
    socket.close();
  });

  it('refuses a socket from another origin, another name, without a session, or at another address', async () => {
    const headers = { cookie };
    expect(await refused('/rpc', { origin: 'https://evil.example', headers })).toBe(403);
    expect(await refused('/rpc', { origin: 'null', headers })).toBe(403);
    expect(await refused('/rpc', { headers })).toBe(403);
    const rebound = `evil.example:${url.port}`;
    expect(await refused('/rpc', { origin: `http://${rebound}`, headers: { ...headers, host: rebound } })).toBe(403);
    expect(await refused('/rpc', { origin: url.origin })).toBe(401);
    expect(await refused('/elsewhere', { origin: url.origin, headers })).toBe(404);
  });
});

describe('dropped files', () => {
  const post = (path: string, body: string, headers: Record<string, string> = {}) =>
    ask(`/upload/${path}`, { method: 'POST', headers: { cookie, origin: url.origin, ...headers } }, body);

  it('land in the library, folders and all, and the answer says where', async () => {
    const reply = await post('drop0001/my%20model/config.json', '{}');
    expect(reply.status).toBe(200);
    const path = join(library, 'uploads', 'drop0001', 'my model', 'config.json');
    expect(JSON.parse(reply.body)).toEqual({ path, folder: join(library, 'uploads', 'drop0001') });
    expect(readFileSync(path, 'utf8')).toBe('{}');
    expect((await post('drop0001/my%20model/config.json', 'again')).status).toBe(400);
    expect(readFileSync(path, 'utf8')).toBe('{}');
  });

  it('need a session and the own origin', async () => {
    expect((await post('drop0002/a.jsonl', 'x', { origin: 'https://evil.example' })).status).toBe(403);
    expect((await post('drop0002/a.jsonl', 'x', { cookie: '' })).status).toBe(401);
    expect(existsSync(join(library, 'uploads', 'drop0002'))).toBe(false);
  });

  it('have names that stay in their folder', async () => {
    const paths = ['', '/', '/..%2f..%2fout', '/a%00b', '/a%5cb', '/x/%2e%2e%2fy', `/${'d/'.repeat(20)}a`];
    const names = ['short/a', ...paths.map((path) => `drop0003${path}`)];
    for (const name of names) {
      const reply = await post(name, 'x');
      expect([name, reply.status]).toEqual([name, 400]);
    }
    expect(existsSync(join(library, 'uploads', 'drop0003'))).toBe(false);
  });

  it('leave nothing behind when the window goes away in the middle', async () => {
    const socket = connect(Number(url.port), '127.0.0.1');
    const headers = [`Host: ${url.host}`, `Origin: ${url.origin}`, `Cookie: ${cookie}`, 'Content-Length: 1000000'];
    socket.write(['POST /upload/drop0004/big.jsonl HTTP/1.1', ...headers, '', ''].join('\r\n'));
    socket.write('x'.repeat(100_000));
    const drop = join(library, 'uploads', 'drop0004');
    await until(() => existsSync(join(drop, 'big.jsonl.part')));
    socket.destroy();
    await until(() => readdirSync(drop).length === 0);
  });

  it('of days ago are cleaned at the start, new ones not', () => {
    expect(readdirSync(join(library, 'uploads'))).toContain('newdrop1');
    expect(readdirSync(join(library, 'uploads'))).not.toContain('olddrop1');
  });
});

describe('starting and ending', () => {
  it('tells the way in over SSH', () => {
    expect(notes).toContain(`ssh -N -p 2222 -L ${url.port}:127.0.0.1:${url.port} `);
    expect(notes).toContain('@192.0.2.10');
  });

  it('a second start on the same library leads to the first and ends with 0', async () => {
    const second = start(library);
    const text = collect(second);
    const [code] = (await once(second, 'close')) as [number];
    expect(code).toBe(0);
    expect(text.stdout.trim()).toBe(url.href);
    expect(text.stderr).toContain('is open already, in the browser');
    if (process.platform !== 'win32') expect(statSync(join(library, 'workbench.json')).mode & 0o777).toBe(0o600);
  });

  it('a start after a kill takes the library over', async () => {
    const other = join(folder, 'other-library');
    const first = start(other);
    const before = await readUrl(first);
    first.kill('SIGKILL');
    await once(first, 'close');
    const second = start(other);
    const after = await readUrl(second);
    expect(after.search).not.toBe(before.search);
    second.kill('SIGTERM');
    const [code] = (await once(second, 'close')) as [number];
    expect(code).toBe(0);
    expect(existsSync(join(other, 'workbench.json'))).toBe(false);
  });

  it('says in a sentence that a port is taken or no port', async () => {
    for (const [port, sentence] of [[url.port, `port ${url.port} is taken`], ['http', '--port http: give a number']]) {
      const child = start(join(folder, 'third-library'), ['--port', port]);
      const text = collect(child);
      const [code] = (await once(child, 'close')) as [number];
      expect([code, text.stderr]).toEqual([2, expect.stringContaining(sentence)]);
    }
  });

  it('Ctrl-C closes it in order, telling its windows, and no way out of the machine was tried', async () => {
    const socket = new WebSocket(`ws://${url.host}/rpc`, { origin: url.origin, headers: { cookie } });
    await once(socket, 'open');
    host.kill('SIGINT');
    const [[closeCode], [code]] = (await Promise.all([once(socket, 'close'), once(host, 'close')])) as [[number], [number]];
    expect([closeCode, code]).toEqual([1001, 0]);
    const log = readFileSync(networkLog, 'utf8');
    expect(log).toContain('start');
    expect(log).not.toContain('attempt');
  });
});

function start(home: string, args: string[] = ['--port', '0'], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const all = ['--disable-warning=ExperimentalWarning', join(ROOT, 'src', 'main', 'host.ts'), '--no-open', '--renderer', renderer, ...args];
  const child = spawn(process.execPath, all, {
    env: { ...process.env, SSH_CONNECTION: '', ATTUNE_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

async function readUrl(child: ChildProcess): Promise<URL> {
  const text = collect(child);
  await until(() => text.stdout.includes('\n') || child.exitCode !== null);
  if (!text.stdout) throw new Error(text.stderr);
  return new URL(text.stdout.trim());
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name]!.on('data', (chunk: Buffer) => (text[name] += String(chunk)));
  return text;
}

/** The path as it is: fetch and URL would make it whole. */
function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}, body = ''): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: url.port, path, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The status an upgrade is refused with. */
async function refused(path: string, options: { origin?: string; headers?: Record<string, string> }): Promise<number> {
  const socket = new WebSocket(`ws://${url.host}${path}`, options);
  return new Promise<number>((resolve, reject) => {
    socket.on('unexpected-response', (sent, response) => {
      resolve(response.statusCode!);
      sent.destroy();
    });
    socket.on('open', () => reject(new Error(`${path} let ${JSON.stringify(options)} in`)));
    socket.on('error', reject);
  });
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error('waited a minute in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
