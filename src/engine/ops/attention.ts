/** Causal attention over packed segments with shared prefixes and grouped key/value heads. Scores are never held: lse(N,H) is. */
import { gradToAdd, type Tape, type Value } from './tape.ts';

/** H query heads, K key/value heads, D head dim; scale multiplies the scores. segments(S,6): see Device.attention. */
export type AttentionShape = { S: number; H: number; K: number; D: number; scale: number };

/** q(N,H,D), k(·,K,D), v(·,K,D) → (N,H,D). In training k and v have q's rows; in decoding they are a cache. */
export function attention(tape: Tape, q: Value, k: Value, v: Value, segments: Value, N: number, shape: AttentionShape): Value {
  const { S, H, K, D, scale } = shape;
  const out = tape.value(H * D, q.requiresGrad || k.requiresGrad || v.requiresGrad);
  const lse = tape.value(H, false);
  tape.device.attention(out.data, lse.data, q.data, k.data, v.data, segments.data, S, H, K, D, scale);
  tape.record(out, [q, k, v, out, lse, segments], () => {
    const dq = gradToAdd(tape, q, N), dk = gradToAdd(tape, k, N), dv = gradToAdd(tape, v, N);
    tape.device.attentionBackward( // undoes attention
      dq, dk, dv, out.grad!, out.data, lse.data, q.data, k.data, v.data, segments.data, S, H, K, D, scale,
    );
  });
  return out;
}
