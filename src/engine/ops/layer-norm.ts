/** LayerNorm: out = (x − mean) / √(variance + eps) · weight + bias, over rows of C. */
import type { Tensor } from '../device/device.ts';
import { gradToAdd, type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** x(N,C) → same shape; weight(C), bias(C) f32, both trained or both frozen. */
export function layerNorm(tape: Tape, x: Value, weight: Weight, bias: Weight, N: number, C: number, eps: number): Value {
  const out = tape.value(C, x.requiresGrad || weight.trained);
  const mean = tape.value(1, false);
  const rstd = tape.value(1, false);
  const norm = (to: Tensor) => tape.device.layerNorm(to, mean.data, rstd.data, x.data, weight.tensor, bias.tensor, N, C, eps);
  norm(out.data);
  tape.remake(out, [x, mean, rstd], norm);
  tape.record(out, [x, mean, rstd], () => {
    const dx = gradToAdd(tape, x, N);
    tape.device.layerNormBackward( // undoes layerNorm
      dx, weightGrad(tape, weight), weightGrad(tape, bias), out.grad!, x.data, weight.tensor, mean.data, rstd.data, N, C,
    );
  });
  return out;
}
