/**
 * `npm start` as a person or a script types it: from the clone to a workbench that answers. What it opens is tested elsewhere (host.test.ts,
 * desktop.test.ts); here it is only that it gets there, and that stdout is the URL and nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { ROOT } from './attune.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-start-'));
let child: ChildProcess | null = null;

afterEach(() => child?.kill('SIGKILL'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each([
  ['without a display', []],
  ['when asked for the browser host', ['--no-open', '--port', '0']],
])('npm start %s serves the built window and prints its URL alone', async (name, args) => {
  child = spawn(process.execPath, [join(ROOT, 'scripts', 'start.mjs'), ...args], {
    cwd: folder,
    env: { ...process.env, ATTUNE_HOME: join(folder, 'library'), DISPLAY: '', WAYLAND_DISPLAY: '', SSH_CONNECTION: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let notes = '';
  child.stderr!.on('data', (chunk: Buffer) => (notes += String(chunk)));
  let stdout = '';
  child.stdout!.on('data', (chunk: Buffer) => (stdout += String(chunk)));
  while (!stdout.includes('\n') && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(stdout, notes).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}\n$/);
  if (process.platform === 'linux' && args.length === 0) expect(notes).toContain('there is no display');

  const welcome = await fetch(stdout.trim(), { redirect: 'manual' });
  const page = await fetch(new URL('/', stdout), { headers: { cookie: welcome.headers.get('set-cookie')!.split(';')[0] } });
  expect(await page.text()).toContain('<div id="app">');

  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(0);
});
