/**
 * Causal attention over packed segments as FlashAttention does it (Dao 2023): tiles of 32 queries and 32 keys, an online softmax, no score kept. A head is
 * gone through 32 numbers at a time, so that any head size fits the 16 KiB of workgroup memory that WebGPU promises. Backward makes the scores again: once
 * for the gradient of q, a tile of queries a workgroup, and once for those of k and v, a tile of keys a workgroup, which gathers what the segments
 * that see it give, in their order. Few queries, as in decoding, go row by row.
 *
 * A window and a cap (see Device.localAttention) are numbers of the same kernels: a window so long that it hides nothing, a cap of 0 that is none.
 */
import type { Device, Tensor } from '../device.ts';
import type { Gpu } from './gpu.ts';
import { blocksOf, type Kernel } from './kernel.ts';
import type { Memory } from './memory.ts';
import { attentionStatistics, dkDv, dQuery, forward, forwardRows, TILE } from './attention-kernels.ts';

/** window 0: every key before; cap 0: none. */
type Heads = { S: number; H: number; K: number; D: number; scale: number; window: number; cap: number };
const NO_WINDOW = 2 ** 30;

type AttentionKernels = Pick<Device, 'attention' | 'attentionBackward' | 'localAttention' | 'localAttentionBackward'>;

const kernels = new Map<string, Kernel>();
/** One text a head size: sums of a head stand in a thread's registers, so it says how many. */
function sized(make: (D: number) => Kernel, D: number): Kernel {
  const key = `${make.name} ${D}`;
  let kernel = kernels.get(key);
  if (!kernel) kernels.set(key, (kernel = make(D)));
  return kernel;
}

export function createAttentionKernels(gpu: Gpu, memory: Memory): AttentionKernels {
  const part = (x: Tensor) => memory.part(x, 'f32');

  function attend(out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, { S, H, K, D, scale, window, cap }: Heads): void {
    if (S === 0) return;
    const rows = Math.floor(q.length / (H * D)); // at least as many as segments have
    const buffers = { out: part(out), lse: part(lse), q: part(q), k: part(k), v: part(v), segments: memory.part(segments, 'i32') };
    const numbers = { S, H, K, D, scale, window: window || NO_WINDOW, cap };
    if (rows <= 2 * S) gpu.run(sized(forwardRows, D), buffers, numbers, rows * H);
    else gpu.run(sized(forward, D), buffers, numbers, (Math.floor(rows / TILE) + S) * H);
  }

  function attendBackward(
    dq: Tensor, dk: Tensor, dv: Tensor, dout: Tensor, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor,
    { S, H, K, D, scale, window, cap }: Heads,
  ): void {
    if (S === 0) return;
    const rows = Math.floor(q.length / (H * D));
    const keys = Math.floor(k.length / (K * D));
    const statistics = memory.scratch('attention', 2 * rows * H);
    gpu.run(attentionStatistics, { statistics, lse: part(lse), dout: part(dout), out: part(out) }, { n: rows * H, D }, blocksOf(rows * H));
    const buffers = { dout: part(dout), statistics, q: part(q), k: part(k), v: part(v), segments: memory.part(segments, 'i32') };
    const numbers = { S, H, K, D, scale, window: window || NO_WINDOW, cap };
    gpu.run(sized(dQuery, D), { dq: part(dq), ...buffers }, numbers, (Math.floor(rows / TILE) + S) * H);
    gpu.run(sized(dkDv, D), { dk: part(dk), dv: part(dv), ...buffers }, numbers, blocksOf(keys, TILE) * K);
  }

  return {
    attention: (out, lse, q, k, v, segments, S, H, K, D, scale) => attend(out, lse, q, k, v, segments, { S, H, K, D, scale, window: 0, cap: 0 }),
    attentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale) =>
      attendBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, { S, H, K, D, scale, window: 0, cap: 0 }),
    localAttention: (out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) => attend(out, lse, q, k, v, segments, { S, H, K, D, scale, window, cap }),
    localAttentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      attendBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, { S, H, K, D, scale, window, cap }),
  };
}
