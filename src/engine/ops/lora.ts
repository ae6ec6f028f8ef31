/**
 * The low-rank update of a linear (LoRA, Hu et al. 2021; PEFT's numbers): out += scale · (dropout(x) · Aᵀ) · Bᵀ,
 * A(r,I), B(O,r), scale = loraAlpha / r. Called by linear.ts, which owns out; not an op of its own.
 */
import type { Tensor } from '../device/device.ts';
import type { DoraGain } from './dora.ts';
import { gradToWrite, linearBackwardWeight, type Tape, type Value, type Weight } from './tape.ts';

/** p is 0 outside training. A call with one seed drops the same elements again, so backward repeats the mask instead of keeping it. */
export type LoraUpdate = { a: Weight; b: Weight; r: number; scale: number; p: number; seed: number; dora: DoraGain | null };

/** Adds the update to out; returns low(N,r) = dropout(x) · Aᵀ. */
export function loraForward(tape: Tape, out: Value, x: Value, lora: LoraUpdate, N: number, I: number, O: number): Value {
  const low = tape.value(lora.r, false);
  withDropped(tape, x, lora, N, (dropped) => {
    tape.device.linear(low.data, dropped, lora.a.tensor, null, N, I, lora.r, 1, 0);
  });
  tape.device.linear(out.data, low.data, lora.b.tensor, null, N, lora.r, O, lora.scale, 1);
  return low;
}

export function loraBackward(tape: Tape, dout: Tensor, x: Value, low: Value, lora: LoraUpdate, N: number, I: number, O: number): void {
  const { device, pool } = tape;
  const { a, b, r, scale, p, seed } = lora;
  const dlow = pool.take(r);
  linearBackwardWeight(tape, b, dout, low.data, N, r, O, scale); // undoes out += scale · low · Bᵀ, for B
  device.linearBackwardInput(dlow, dout, b.tensor, N, r, O, scale, 0); // … and for low
  if (a.trained) withDropped(tape, x, lora, N, (dropped) => linearBackwardWeight(tape, a, dlow, dropped, N, I, r, 1)); // undoes low = dropped · Aᵀ, for A
  if (x.requiresGrad) {
    const { grad, beta } = gradToWrite(tape, x);
    if (p === 0) {
      device.linearBackwardInput(grad, dlow, a.tensor, N, I, r, 1, beta); // … and for x
    } else {
      const dx = pool.take(I);
      device.linearBackwardInput(dx, dlow, a.tensor, N, I, r, 1, 0); // … and for dropped
      device.dropout(dx, dx, N * I, p, seed); // undoes dropout
      if (beta === 0) device.copy(grad, 0, dx, 0, N * I);
      else device.axpy(grad, dx, 1, N * I);
      pool.give(dx);
    }
  }
  pool.give(dlow);
}

/** Calls `use` with dropout(x), which is x itself when p is 0. */
export function withDropped(tape: Tape, x: Value, lora: LoraUpdate, N: number, use: (dropped: Tensor) => void): void {
  if (lora.p === 0) return use(x.data);
  const dropped = tape.pool.take(x.width);
  tape.device.dropout(dropped, x.data, N * x.width, lora.p, lora.seed);
  use(dropped);
  tape.pool.give(dropped);
}
