/**
 * A training step by PyTorch on the graphics card that ours runs on, in turn with ours in one run: bf16 products, flash attention, plain or by torch.compile,
 * whichever is faster in a first step. Where no Python with PyTorch and CUDA is (PEER_PYTHON names one), it is left out, in a sentence that says so.
 */
import { spawnSync } from 'node:child_process';
import type { Size } from '../configs.ts';
import { type Bench, compare } from '../measure.ts';
import { LORA_RANK, type Method } from '../trainer.ts';
import { openPeer, type Peer } from './process.ts';

/** A Python whose PyTorch has a card. */
export type Torch = { python: string };

export function findTorch(): Torch | null {
  const python = process.env.PEER_PYTHON ?? 'python3';
  const { status } = spawnSync(python, ['-c', 'import sys, torch; sys.exit(not torch.cuda.is_available())'], { stdio: 'ignore' });
  if (status === 0) return { python };
  console.log(`train: PyTorch is left out; it wants a Python with torch that finds a CUDA card, named by PEER_PYTHON (now ${python})`);
  return null;
}

/** Reports PyTorch's speed and memory, and ours over its speed. */
export async function benchAgainst({ python }: Torch, bench: Bench, label: string, method: Method, size: Size, step: () => Promise<void>): Promise<void> {
  const script = new URL('torch_device_steps.py', import.meta.url).pathname;
  let best: { kind: string; peer: Peer; seconds: number } | undefined;
  for (const kind of ['plain', 'compiled']) {
    const peer = await openPeer(bench, python, [script, 'cuda', method, kind, JSON.stringify(size), String(LORA_RANK)]);
    const seconds = await peer.ask('step');
    const slower = best && best.seconds <= seconds ? peer : best?.peer;
    if (slower !== peer) best = { kind, peer, seconds };
    await slower?.close();
  }
  const { kind, peer } = best!;
  const { theirs, ratio } = await compare(bench.wall, step, () => peer.ask('step'), { seconds: 1, warm: 2 });
  const name = label.replace('train.', 'peers.torch.');
  bench.report(`${name}.tokens_per_s`, (size.T * size.B) / theirs, `tokens/s (${kind})`);
  bench.report(`${name}.tensor_bytes`, peer.last().tensor_bytes, 'bytes');
  bench.report(`${label}.vs_torch`, ratio, '×');
  await peer.close();
}
