/** The middle of a gated MLP: out = act(gate) · up, elementwise over (N,F). */
import type { Activation, Tensor } from '../device/device.ts';
import { type Tape, type Value } from './tape.ts';

export function gatedActivation(tape: Tape, gate: Value, up: Value, N: number, activation: Activation): Value {
  const n = N * gate.width;
  const out = tape.value(gate.width, gate.requiresGrad || up.requiresGrad);
  const activate = (to: Tensor) => tape.device.gatedActivation(to, gate.data, up.data, n, activation);
  activate(out.data);
  tape.remake(out, [gate, up], activate);
  tape.record(out, [gate, up], () => {
    // gate and up are read by this op alone, so their gradients are written here once, and dgate takes over dout's buffer.
    const dgate = out.grad!;
    const dup = tape.pool.take(up.width);
    tape.device.gatedActivationBackward(dgate, dup, dgate, gate.data, up.data, n, activation); // undoes gatedActivation
    gate.grad = dgate;
    up.grad = dup;
    out.grad = null;
  });
  return out;
}
