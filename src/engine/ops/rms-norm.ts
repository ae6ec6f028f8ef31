/** RMSNorm: out = x / √(mean(x²) + eps) · weight, over rows of C. Rows may be tokens × heads (QK-norm), inside one value. */
import type { Tensor } from '../device/device.ts';
import { gradToAdd, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** x(N,C·heads) → same shape; each of the N·heads rows of C is normed by itself. weight(C) f32, counted from `offset`: x̂ · (offset + weight). */
export function rmsNorm(tape: Tape, x: Value, weight: Weight, N: number, C: number, eps: number, offset = 0): Value {
  const heads = x.width / C;
  const out = tape.value(x.width, x.requiresGrad || weight.trained);
  const rstd = tape.value(heads, false);
  const norm = (to: Tensor) => withGain(tape, weight, C, offset, (gain) => tape.device.rmsNorm(to, rstd.data, x.data, gain, N * heads, C, eps));
  norm(out.data);
  tape.remake(out, [x, rstd], norm); // the sum of squares again too: the row is in the cache by then
  tape.record(out, [x, rstd], () => {
    const dx = gradToAdd(tape, x, N);
    withGain(tape, weight, C, offset, (gain) => {
      tape.device.rmsNormBackward(dx, weightGrad(tape, weight), out.grad!, x.data, gain, rstd.data, N * heads, C); // undoes rmsNorm
    });
  });
  return out;
}

/** Calls `use` with offset + weight, which is the weight itself when offset is 0. */
function withGain(tape: Tape, weight: Weight, C: number, offset: number, use: (gain: Tensor) => void): void {
  if (offset === 0) return use(weight.tensor);
  const gain = tape.pool.takeFloats(C);
  tape.device.fill(gain, offset, C);
  tape.device.axpy(gain, weight.tensor, 1, C);
  use(gain);
  tape.pool.give(gain);
}
