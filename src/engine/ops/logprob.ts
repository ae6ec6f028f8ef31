/**
 * The LM head as one op: hidden states → logits → log-softmax → the target's log-probability. Logits are made by chunks in the kernel; for
 * backward they are kept up to KEPT_LOGITS and made again beyond, so memory has a bound whatever (M,V) is. Entropy (nats) and the argmax come on request, without a gradient.
 */
import { type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** Floats: 256 MiB. All of 2048 rows of 32,000 words, or of 1365 rows of 49,152. */
export const KEPT_LOGITS = 1 << 26;

export type LogprobOut = { logprobs: Value; entropy: Value | null; best: Value | null };

/** x(M,C), head(V,C), targets(M) i32 → logprobs(M) */
export function logprob(
  tape: Tape, x: Value, head: Weight, targets: Value, M: number, C: number, V: number, want: { entropy?: boolean; best?: boolean } = {},
): LogprobOut {
  const { device } = tape;
  const logprobs = tape.value(1, x.requiresGrad || head.trained);
  const lse = tape.value(1, false);
  const entropy = want.entropy ? tape.value(1, false) : null;
  const best = want.best ? tape.value(1, false, 'i32') : null;
  const kept = tape.recording && logprobs.requiresGrad ? tape.value(V, false, 'f32', Math.min(KEPT_LOGITS, M * V)) : null;
  device.logprob(logprobs.data, lse.data, entropy?.data ?? null, best?.data ?? null, kept?.data ?? null, x.data, head.tensor, targets.data, M, C, V);
  tape.record(logprobs, kept ? [x, targets, lse, kept] : [x, targets, lse], () => {
    // x feeds this op alone, so its gradient is written, not added to.
    x.grad = tape.pool.take(C);
    device.logprobBackward(x.grad, weightGrad(tape, head), kept!.data, logprobs.grad!, x.data, head.tensor, targets.data, lse.data, M, C, V); // undoes logprob
  });
  return { logprobs, entropy, best };
}
