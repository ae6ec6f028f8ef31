/**
 * What clients of `attune serve` get: tokens/s of one stream and of 32 and 200 at once, over HTTP on the loopback, the embedded model behind it.
 * Clients and server share the machine, so this is less than the engine decodes (sample.ts). Always by the clock on the wall: the work is another process's.
 */
import { openModelServer } from '../src/main/serving/model-server.ts';
import { alternate, type Bench } from './measure.ts';
import { MODEL } from './rows.ts';

/** Tokens of an answer at most. */
const TOKENS = 64;

export async function benchServe(bench: Bench, only: string): Promise<void> {
  const { toy, threads } = bench.options;
  const counts = [1, 32, 200].filter((count) => `serve.streams${count}.base`.includes(only));
  if (counts.length === 0) return;
  if (toy) return counts.forEach((count) => bench.report(`serve.streams${count}.base.tokens_per_s`, 1, 'tokens/s'));
  const server = await openModelServer({
    job: { type: 'serve', device: 'native', threads, model: { folder: MODEL }, template: 'chat', dtype: 'stored' },
    name: 'base', host: '127.0.0.1', port: 0, token: null, onChange: () => {},
  });
  /** Tokens that came. */
  const stream = async (seed: number): Promise<number> => {
    const response = await fetch(`${server.url}/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${server.token}` },
      body: JSON.stringify({ model: 'base', prompt: 'Once upon a time', max_tokens: TOKENS, seed, stream: true, stream_options: { include_usage: true } }),
    });
    const usage = (await response.text()).trim().split('\n\n').at(-2)!.slice('data: '.length);
    return (JSON.parse(usage) as { usage: { completion_tokens: number } }).usage.completion_tokens;
  };
  for (const count of counts) {
    let tokens = 0;
    const all = async (): Promise<void> => {
      const came = await Promise.all(Array.from({ length: count }, (_, seed) => stream(seed)));
      tokens = came.reduce((sum, n) => sum + n, 0); // the same seeds, the same tokens every time
    };
    const [seconds] = await alternate(bench.wall, [all], { seconds: 1 });
    bench.report(`serve.streams${count}.base.tokens_per_s`, tokens / seconds, 'tokens/s');
  }
  await server.close();
}
