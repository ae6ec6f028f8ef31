/** The middle of an MLP without a gate: out = act(x), elementwise over (N,F). */
import type { PlainActivation, Tensor } from '../device/device.ts';
import type { Tape, Value } from './tape.ts';

export function activation(tape: Tape, x: Value, N: number, kind: PlainActivation): Value {
  const n = N * x.width;
  const out = tape.value(x.width, x.requiresGrad);
  const activate = (to: Tensor) => tape.device.activation(to, x.data, n, kind);
  activate(out.data);
  tape.remake(out, [x], activate);
  tape.record(out, [x], () => {
    // x is read by this op alone, so its gradient is written here once, over dout.
    tape.device.activationBackward(out.grad!, out.grad!, x.data, n, kind); // undoes activation
    x.grad = out.grad;
    out.grad = null;
  });
  return out;
}
