/**
 * The LM head of models whose logits have a soft cap (Gemma 2): logits → cap · tanh(logits / cap) → log-softmax → the target's log-probability.
 * A chunk of rows at a time, whose logits are made again in backward; logprob.ts is all others'.
 */
import type { Tensor } from '../device/device.ts';
import type { LogprobOut } from './logprob.ts';
import { linearBackwardWeight, type Tape, type Value, type Weight } from './tape.ts';

/** Logits held at a time: 64 MiB, or 64 rows. Rows come by 64, as Device.view wants. */
const HELD = 1 << 24;

/** x(M,C), head(V,C), targets(M) i32 → logprobs(M) */
export function cappedLogprob(
  tape: Tape, x: Value, head: Weight, targets: Value, M: number, C: number, V: number, cap: number, want: { entropy?: boolean; best?: boolean } = {},
): LogprobOut {
  const { device, pool } = tape;
  const logprobs = tape.value(1, x.requiresGrad || head.trained);
  const lse = tape.value(1, false);
  const entropy = want.entropy ? tape.value(1, false) : null;
  const best = want.best ? tape.value(1, false, 'i32') : null;
  const chunk = Math.max(64, Math.floor(HELD / V / 64) * 64);

  /** Calls `use` with the capped logits of each chunk; `at` cuts its rows out of a tensor. */
  const byChunks = (use: (logits: Tensor, at: (x: Tensor, width?: number) => Tensor, rows: number) => void) => {
    for (let from = 0; from < M; from += chunk) {
      const rows = Math.min(chunk, M - from);
      const at = (tensor: Tensor, width = 1) => device.view(tensor, from * width, rows * width, tensor.storage);
      const logits = pool.takeFloats(rows * V);
      device.linear(logits, at(x.data, C), head.tensor, null, rows, C, V, 1, 0);
      device.cappedLogprob(at(logprobs.data), at(lse.data), entropy && at(entropy.data), best && at(best.data), logits, at(targets.data), rows, V, cap);
      use(logits, at, rows);
      pool.give(logits);
    }
  };
  byChunks(() => {});
  const saved = [x, targets, lse, logprobs, entropy, best].filter((value) => value !== null);
  tape.record(logprobs, saved, () => {
    x.grad = pool.take(C); // x feeds this op alone, so its gradient is written, not added to
    byChunks((logits, at, rows) => {
      device.cappedLogprobBackward(logits, at(logprobs.grad!), at(targets.data), at(lse.data), rows, V, cap); // undoes cappedLogprob
      device.linearBackwardInput(at(x.grad!, C), logits, head.tensor, rows, C, V, 1, 0); // undoes linear, for x
      linearBackwardWeight(tape, head, logits, at(x.data, C), rows, C, V, 1); // … and for the head
    });
  });
  return { logprobs, entropy, best };
}
