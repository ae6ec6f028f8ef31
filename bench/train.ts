/**
 * Training, a whole optimiser step a timing: full SFT, LoRA and DPO at D, S, M; growth with T (2048 tokens a step, two rows at least) and with
 * the batch; real rows of true lengths, packed as they are against padded to their batch's longest.
 * A device that is not the native one trains at those sizes, a tiny one and, with LoRA, Llama-3.2-1B's, as its budget allows.
 * share_of_peak counts true operations (trainer.ts), not work done twice; tokens count as TRL counts them, a pair's prompt twice.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Sequence } from '../src/engine/data/pack.ts';
import { peakMemory } from '../src/engine/peak-memory.ts';
import { deviceSizes, type Size, sizes } from './configs.ts';
import { alternate, type Bench, compare, timed } from './measure.ts';
import { benchAgainst, findTorch, type Torch } from './peers/torch-device.ts';
import { readInstructions, readPairs } from './rows.ts';
import { createRealTrainer, createTrainer, type Method, stepFlops, type Trainer } from './trainer.ts';

const METHODS = ['sft', 'lora', 'dpo'] as const;
/** Real rows a pass (pairs are long), and a step. */
export const REAL_ROWS = { sft: 32, dpo: 16 };
export const REAL_BATCH = 8;

export async function benchTrain(bench: Bench, only: string): Promise<void> {
  const native = bench.options.device === 'native';
  const peer = native ? null : findTorch();
  for (const [name, size] of Object.entries(native ? sizes : deviceSizes)) {
    for (const method of size.frozen ? ['lora'] as const : METHODS) {
      const label = `train.${method}.${name}`;
      if (!label.includes(only) || !bench.affords(label, stepFlops(method, size))) continue;
      if (native) await benchMethod(bench, label, method, name);
      else await bench.attempt(label, () => benchOnDevice(bench, label, method, size, peer));
    }
  }
  if (!native) return;
  await benchGrowth(bench, only);
  await benchReal(bench, only);
}

/** Beside PyTorch on the same card, in turn, where it is at hand. */
async function benchOnDevice(bench: Bench, label: string, method: Method, size: Size, peer: Torch | null): Promise<void> {
  const trainer = await createTrainer(bench.open(), method, size);
  await speed(bench, label, method, size, trainer);
  bench.report(`${label}.tensor_bytes`, trainer.device.memory().peakBytes, 'bytes');
  if (peer) await benchAgainst(peer, bench, label, method, size, () => step(trainer));
  trainer.free();
}

async function benchMethod(bench: Bench, label: string, method: Method, name: string): Promise<void> {
  const trainer = await createTrainer(bench.open(), method, sizes[name]);
  await speed(bench, label, method, sizes[name], trainer);
  bench.report(`${label}.tensor_bytes`, trainer.device.memory().peakBytes, 'bytes');
  trainer.free();
  const bytes = bench.options.toy ? peakMemory() : peakBytes(method, name, bench.options.threads);
  bench.report(`${label}.peak_bytes`, bytes, 'bytes');
  // weights, gradients and AdamW's two moments are 16 bytes a number; the rest is activations, the cache of logits, and Node
  if (method === 'sft') bench.report(`${label}.bytes_beside_state`, bytes - 16 * trainer.parameters, 'bytes');
}

/** Each family's shapes as shares of its best, when all of it is measured: a cliff is where a share falls. */
async function benchGrowth(bench: Bench, only: string): Promise<void> {
  const { S } = sizes;
  const families = [
    [128, 256, 512, 1024, 2048].map((T) => [`T${T}`, { ...S, T: bench.options.toy ? S.T : T, B: Math.max(2, 2048 / T) }] as const),
    [1, 2, 4, 8, 16].map((B) => [`B${B}`, { ...S, B }] as const),
  ];
  for (const family of families) {
    const chosen = family.filter(([what]) => `train.sft.S.${what}`.includes(only));
    const shares: number[] = [];
    for (const [what, size] of chosen) {
      const trainer = await createTrainer(bench.open(), 'sft', size);
      shares.push(await speed(bench, `train.sft.S.${what}`, 'sft', size, trainer));
      trainer.free();
    }
    if (chosen.length < family.length) continue;
    for (const [i, [what]] of family.entries()) bench.report(`train.sft.S.${what}.share_of_best`, shares[i] / Math.max(...shares), '');
  }
}

/** Reports tokens/s and share of peak; returns the latter. */
async function speed(bench: Bench, label: string, method: Method, size: Size, trainer: Trainer): Promise<number> {
  const { seconds, possible } = await timed(bench.clock, bench.peak, () => step(trainer), { seconds: 2, warm: 2 });
  const share = stepFlops(method, size) / possible;
  bench.report(`${label}.tokens_per_s`, (size.T * size.B) / seconds, 'tokens/s');
  bench.report(`${label}.${bench.share}`, share, '');
  return share;
}

async function benchReal(bench: Bench, only: string): Promise<void> {
  const device = bench.open();
  if ('train.sft.real'.includes(only)) {
    const count = bench.options.toy ? 1 : REAL_ROWS.sft;
    const { rows } = await readInstructions(count);
    const packed = await createRealTrainer(device, rows, REAL_BATCH);
    const padded = await createRealTrainer(device, pad(rows), REAL_BATCH);
    const { ours, ratio } = await compare(bench.clock, () => round(packed, count), () => round(padded, count));
    bench.report('train.sft.real.rows_per_s', count / ours, 'rows/s');
    bench.report('train.sft.real.tokens_per_s', rows.reduce((sum, { tokens }) => sum + tokens.length, 0) / ours, 'tokens/s');
    bench.report('train.sft.real.vs_padded', ratio, '×');
    packed.free();
    padded.free();
  }
  if ('train.dpo.real'.includes(only)) {
    const count = bench.options.toy ? 1 : REAL_ROWS.dpo;
    const { rows } = await readPairs(count);
    const trainer = await createRealTrainer(device, rows, REAL_BATCH);
    const [seconds] = await alternate(bench.clock, [() => round(trainer, count)]);
    bench.report('train.dpo.real.rows_per_s', count / seconds, 'rows/s');
    const tokens = rows.reduce((sum, { prompt, chosen, rejected }) => sum + 2 * prompt.length + chosen.length + rejected.length, 0);
    bench.report('train.dpo.real.tokens_per_s', tokens / seconds, 'tokens/s');
    trainer.free();
  }
}

async function step(trainer: Trainer): Promise<void> {
  await trainer.step();
}

/** One pass over rows, REAL_BATCH a step. */
export async function round(trainer: Trainer, rows: number): Promise<void> {
  for (let i = 0; i < rows; i += REAL_BATCH) await trainer.step();
}

/** Every row as long as the longest of its step, as a padding collator makes them; what is added carries no loss. */
function pad(rows: Sequence[]): Sequence[] {
  return rows.map(({ tokens, loss }, i) => {
    const first = i - (i % REAL_BATCH);
    const length = Math.max(...rows.slice(first, first + REAL_BATCH).map((row) => row.tokens.length));
    const padded = { tokens: new Int32Array(length), loss: new Uint8Array(length) };
    padded.tokens.set(tokens);
    padded.loss.set(loss);
    return padded;
  });
}

/** The most memory a process that does nothing but this training ever holds: it is one of its own (peak-rss.ts). */
export function peakBytes(method: Method, size: string, threads: number): number {
  const script = fileURLToPath(new URL('peak-rss.ts', import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, method, size, String(threads)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench: peak-rss.ts ${method} ${size} failed: ${stderr}`);
  return Number(stdout);
}
