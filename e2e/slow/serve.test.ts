/** The server under load, for longer: 15 waves of 200 streams on the embedded model. None is lost or mixed up, and the memory of its engine stays flat. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ModelServer, openModelServer } from '../../src/main/serving/model-server.ts';
import { ROOT } from '../attune.ts';

const STREAMS = 200, WAVES = 15;
/** Bytes that a garbage collector may be late by. */
const SLACK = 32 * 2 ** 20;
let server: ModelServer;

beforeAll(async () => {
  const folder = join(ROOT, 'resources', 'models', 'attune-base');
  const job = { type: 'serve', device: 'native', threads: 0, model: { folder }, template: 'chat', dtype: 'stored' } as const;
  server = await openModelServer({ job, name: 'base', host: '127.0.0.1', port: 0, token: null, onChange: () => {} });
});
afterAll(() => server.close());

/** Text of a stream; the prompt, its length and the seed are the stream's own. */
async function stream(i: number): Promise<string> {
  const response = await fetch(`${server.url}/completions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${server.token}` },
    body: JSON.stringify({ model: 'base', prompt: `The word number ${i} means`, max_tokens: 4 + (i % 24), seed: i, stream: true }),
  });
  const events = (await response.text()).trim().split('\n\n');
  expect(events.pop()).toBe('data: [DONE]');
  return events.map((event) => (JSON.parse(event.slice('data: '.length)) as { choices: { text: string }[] }).choices[0].text).join('');
}

const residentBytes = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.backend.pid}/status`, 'utf8'))![1]) * 1024;

it.skipIf(process.platform !== 'linux')('answers 3,000 streams, 200 at once, each as the first time, in the memory of the first waves', async () => {
  const wave = () => Promise.all(Array.from({ length: STREAMS }, (_, i) => stream(i)));
  const first = await wave();
  const sizes: number[] = [];
  for (let n = 1; n < WAVES; n++) {
    expect(await wave()).toEqual(first);
    sizes.push(residentBytes());
  }
  const most = Math.max(...sizes.slice(0, 4));
  expect(Math.max(...sizes.slice(4)), sizes.map((bytes) => Math.round(bytes / 2 ** 20)).join(' ')).toBeLessThan(most + SLACK);
}, 600_000);
