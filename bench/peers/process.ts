/**
 * Another program that stays beside us, so that we and it can take turns: it prints a line of JSON when it is ready, does a piece of work for
 * every line it is told, and answers with the seconds the work took by its own clock. What else it prints is passed over.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Bench } from '../measure.ts';

export type Peer = {
  /** Seconds it took. */
  ask(command: string): Promise<number>;
  /** Ends it. */
  close(): Promise<void>;
  /** What it said last, by name: of PyTorch, once it is closed, also `rss_mb`. */
  last(): Record<string, number>;
};

/** Of a toy bench nothing is started: all work takes a second. */
export async function openPeer(bench: Bench, program: string, args: string[], env: Record<string, string> = {}): Promise<Peer> {
  if (bench.options.toy) return { ask: async () => 1, close: async () => {}, last: () => ({ rss_mb: 1 }) };
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env } });
  let said: Record<string, number> = {}, complaints = '';
  let heard = Promise.withResolvers<void>();
  heard.promise.catch(() => {}); // it may end while nobody waits for an answer
  child.stderr.on('data', (text) => (complaints = `${complaints}${text}`.slice(-1000)));
  createInterface(child.stdout).on('line', (line) => {
    if (!line.startsWith('{"')) return; // Python prints dicts of its own with single quotes
    said = JSON.parse(line) as Record<string, number>;
    heard.resolve();
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const error = new Error(`peers: ${program} ${args.join(' ')} ended with ${code}: ${complaints}`);
      if (code === 0) resolve();
      else reject(error);
      heard.reject(error); // whoever waits for an answer waits in vain
    });
  });
  ended.catch((error: unknown) => heard.reject(error));
  await heard.promise;
  return {
    async ask(command) {
      heard = Promise.withResolvers();
      heard.promise.catch(() => {});
      child.stdin.write(`${command}\n`);
      await heard.promise;
      return said.seconds;
    },
    async close() {
      child.stdin.end();
      await ended;
    },
    last: () => said,
  };
}
