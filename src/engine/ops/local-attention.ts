/** Attention of layers with a window on keys or a soft cap on scores; attention.ts is all others'. */
import type { AttentionShape } from './attention.ts';
import { gradToAdd, type Tape, type Value } from './tape.ts';

/** window 0: every key before; cap 0: none. See Device.localAttention. */
export type LocalShape = AttentionShape & { window: number; cap: number };

/** q(N,H,D), k(·,K,D), v(·,K,D) → (N,H,D), as attention. */
export function localAttention(tape: Tape, q: Value, k: Value, v: Value, segments: Value, N: number, shape: LocalShape): Value {
  const { S, H, K, D, scale, window, cap } = shape;
  const out = tape.value(H * D, q.requiresGrad || k.requiresGrad || v.requiresGrad);
  const lse = tape.value(H, false);
  tape.device.localAttention(out.data, lse.data, q.data, k.data, v.data, segments.data, S, H, K, D, scale, window, cap);
  tape.record(out, [q, k, v, out, lse, segments], () => {
    const dq = gradToAdd(tape, q, N), dk = gradToAdd(tape, k, N), dv = gradToAdd(tape, v, N);
    tape.device.localAttentionBackward( // undoes localAttention
      dq, dk, dv, out.grad!, out.data, lse.data, q.data, k.data, v.data, segments.data, S, H, K, D, scale, window, cap,
    );
  });
  return out;
}
