/**
 * The LM head as one op: hidden states → logits → log-softmax → the target's log-probability. Logits are made by chunks in the kernel; for
 * backward they are kept up to keptLogits and made again beyond, so memory has a bound whatever (M,V) is. Entropy (nats) and the argmax come on request, without a gradient.
 */
import { type Tape, type Value, type Weight, weightGradToWrite } from './tape.ts';

/**
 * How many logits of M rows are kept, beside the `activations` elements of all layers: 256 MiB, or twice what the layers take. Logits made again
 * cost a fifth of a step at S (a small model with many words), so a large batch must not lose them; under checkpointing, memory comes first.
 */
export const keptLogits = (M: number, V: number, activations: number): number => Math.min(M * V, Math.max(1 << 26, 2 * activations));

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
  const kept = tape.recording && logprobs.requiresGrad ? tape.value(V, false, 'f32', keptLogits(M, V, tape.pool.held())) : null;
  device.logprob(logprobs.data, lse.data, entropy?.data ?? null, best?.data ?? null, kept?.data ?? null, x.data, head.tensor, targets.data, M, C, V);
  tape.record(logprobs, kept ? [x, targets, lse, kept] : [x, targets, lse], () => {
    // x feeds this op alone, so its gradient is written, not added to.
    x.grad = tape.pool.take(C);
    const { grad, beta } = head.trained ? weightGradToWrite(tape, head) : { grad: null, beta: 1 };
    device.logprobBackward(x.grad, grad, kept!.data, logprobs.grad!, x.data, head.tensor, targets.data, lse.data, M, C, V, beta); // undoes logprob
  });
  return { logprobs, entropy, best };
}
