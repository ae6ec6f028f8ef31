/**
 * Training steps by PyTorch, in turn with ours: plain, compiled and hand-tuned (torch_train.py), of which the fastest of a first step goes on.
 * DPO's pairs are as ours (trainer.ts); PyTorch runs its reference every step, ours was computed before.
 */
import { createNativeDevice } from '../../src/engine/device/native.ts';
import { sizes } from '../configs.ts';
import { type Bench, compare } from '../measure.ts';
import { peakBytes } from '../train.ts';
import { createTrainer, type Method } from '../trainer.ts';
import { openPeer, type Peer } from './process.ts';

const kinds: Record<string, string[]> = { plain: ['--impl', 'plain'], compiled: ['--impl', 'plain', '--compile'], tuned: ['--impl', 'tuned', '--chunk', '256'] };
/** Memory that is freed is kept, in huge pages: a quarter faster than PyTorch is without being told. */
const fastest = { MALLOC_MMAP_THRESHOLD_: '4294967296', MALLOC_TRIM_THRESHOLD_: '8589934592', MALLOC_TOP_PAD_: '268435456', GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

export async function benchTorch(bench: Bench, only: string, python: string, folder: string): Promise<void> {
  const { threads } = bench.options;
  const script = new URL('torch_steps.py', import.meta.url).pathname;
  const open = (kind: string, method: Method, name: string, env = {}): Promise<Peer> =>
    openPeer(bench, python, [script, folder, ...kinds[kind], '--cfg', name, '--mode', method, '--threads', String(threads)], { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads), ...env });

  for (const [name, size] of Object.entries(sizes)) {
    for (const method of ['sft', 'lora', 'dpo'] as const) {
      const label = `train.${method}.${name}`;
      if (!label.includes(only)) continue;
      let best: { kind: string; peer: Peer; seconds: number } | undefined;
      for (const kind of Object.keys(kinds)) {
        const peer = await open(kind, method, name, fastest);
        const seconds = await peer.ask('step');
        const slower = best && best.seconds <= seconds ? peer : best?.peer;
        if (slower !== peer) best = { kind, peer, seconds };
        await slower?.close();
      }
      const trainer = await createTrainer(createNativeDevice(threads), method, size);
      const least = name === 'M' ? 3 : 5; // a step of M takes seconds
      const { theirs, ratio } = await compare(bench.wall, async () => void (await trainer.step()), () => best!.peer.ask('step'), { least, seconds: 0, warm: 2 });
      bench.report(`peers.torch.${method}.${name}.tokens_per_s`, (size.T * size.B) / theirs, `tokens/s (${best!.kind}, median of ${least})`);
      bench.report(`${label}.vs_torch`, ratio, '×');
      trainer.free();
      await best!.peer.close();
    }
    // Memory against PyTorch as one first writes it, and as it comes: no settings of malloc.
    if (!`train.sft.${name}`.includes(only)) continue;
    const plain = await open('plain', 'sft', name);
    await plain.close();
    const bytes = plain.last().rss_mb * 2 ** 20;
    bench.report(`peers.torch.sft.${name}.peak_bytes`, bytes, 'bytes (plain)');
    bench.report(`train.sft.${name}.memory_vs_torch`, bench.options.toy ? 1 : peakBytes('sft', name, threads) / bytes, '× (less is better)');
  }
}
