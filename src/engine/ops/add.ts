/** What joins branches of the residual stream: the sum of two values, and a value times a number. */
import { gradToAdd, type Tape, type Value } from './tape.ts';

/** a(N,C) + b(N,C) */
export function add(tape: Tape, a: Value, b: Value, N: number): Value {
  const n = N * a.width;
  const out = tape.value(a.width, a.requiresGrad || b.requiresGrad);
  tape.device.copy(out.data, 0, a.data, 0, n);
  tape.device.axpy(out.data, b.data, 1, n);
  tape.record(out, [], () => {
    for (const x of [a, b]) if (x.requiresGrad) tape.device.axpy(gradToAdd(tape, x, N), out.grad!, 1, n); // undoes a + b
  });
  return out;
}

/** factor · x(N,C) */
export function scaled(tape: Tape, x: Value, factor: number, N: number): Value {
  const n = N * x.width;
  const out = tape.value(x.width, x.requiresGrad);
  tape.device.fill(out.data, 0, n);
  tape.device.axpy(out.data, x.data, factor, n);
  tape.record(out, [], () => tape.device.axpy(gradToAdd(tape, x, N), out.grad!, factor, n)); // undoes factor · x
  return out;
}
