/** RMSNorm: out = x / √(mean(x²) + eps) · weight, over rows of C. Rows may be tokens × heads (QK-norm), inside one value. */
import type { Tensor } from '../device/device.ts';
import { gradToAdd, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** x(N,C·heads) → same shape; each of the N·heads rows of C is normed by itself. weight(C) f32. */
export function rmsNorm(tape: Tape, x: Value, weight: Weight, N: number, C: number, eps: number): Value {
  const heads = x.width / C;
  const out = tape.value(x.width, x.requiresGrad || weight.trained);
  const rstd = tape.value(heads, false);
  const norm = (to: Tensor) => tape.device.rmsNorm(to, rstd.data, x.data, weight.tensor, N * heads, C, eps);
  norm(out.data);
  tape.remake(out, [x, rstd], norm); // the sum of squares again too: the row is in the cache by then
  tape.record(out, [x, rstd], () => {
    const dx = gradToAdd(tape, x, N);
    tape.device.rmsNormBackward(dx, weightGrad(tape, weight), out.grad!, x.data, weight.tensor, rstd.data, N * heads, C); // undoes rmsNorm
  });
  return out;
}
