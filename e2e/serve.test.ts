/** `attune serve` as a shell sees it: what it prints, who gets in, how it ends, and that nothing leaves the machine. What it answers is src/main/serving's own test. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createWorkplace, ROOT, tinyModel, type Workplace } from './attune.ts';

let place: Workplace;
beforeAll(() => {
  place = createWorkplace();
  tinyModel(place);
});
afterAll(() => place.remove());

const chat = (url: string, token: string) =>
  fetch(`${url}/chat/completions`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 }),
  });

test('the URL goes to stdout, a new token and an example to stderr; Ctrl-C ends it well, and nothing left the machine', async () => {
  const log = place.write('network.log', '');
  const { child, outcome } = place.start(['serve', 'tiny', '--port', '0'], {
    NETWORK_LOG: log, NODE_OPTIONS: `--import ${pathToFileURL(join(ROOT, 'e2e', 'no-network.mjs')).href}`,
  });
  const told = createInterface({ input: child.stderr! });
  const example = (async () => {
    let token = '';
    for await (const line of told) {
      token ||= /^token: (\S{43})$/.exec(line)?.[1] ?? '';
      if (line.startsWith('curl ')) return { token, line };
    }
    throw new Error('no example was told');
  })();
  const [url] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  const { token, line } = await example;
  expect(line).toContain(`${url}/chat/completions -H "Authorization: Bearer ${token}"`);
  expect((await chat(url, 'nobody told me')).status).toBe(401);
  expect((await chat(url, token)).status).toBe(200);
  child.kill('SIGINT');
  expect((await outcome).code).toBe(0);
  await expect(chat(url, token)).rejects.toThrow();
  expect(readFileSync(log, 'utf8')).not.toContain('attempt');
});

test('a port, a token or a model that cannot be is told in a sentence', async () => {
  const told = async (...args: string[]) => {
    const { code, stderr } = await place.attune(['serve', ...args]);
    return [code, stderr.trim().split('\n')[0]];
  };
  expect(await told('tiny', '--port', '70000')).toEqual([2, expect.stringContaining('from 0 to 65535')]);
  expect(await told('tiny', '--port', '0', '--token', 'a b')).toEqual([2, expect.stringContaining('at least 8 characters')]);
  expect(await told('nobody')).toEqual([2, expect.stringContaining('nobody: no model of that name')]);
});
