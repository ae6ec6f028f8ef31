/**
 * DoRA's gain on a linear (Liu et al. 2024; PEFT's arithmetic): out = m / ‖w + scale·B·A‖ ⊙ (x·wᵀ + low-rank update), the norm taken of each
 * row and held constant in backward, m(O) trained. Here is what it multiplies and what goes back through that; the norms are found by
 * model/dora.ts, the linear itself is linear.ts.
 *
 * Devices have no kernel for columns times a vector, and need none: what rmsNormBackward adds to dx where x is 0 and rstd 1 is dout ⊙ weight,
 * and what it adds to dweight where rstd is 1 is Σₙ dout ⊙ x.
 */
import type { Device, Tensor } from '../device/device.ts';
import type { Pool } from './pool.ts';
import { type Tape, type Value, type Weight, weightGrad } from './tape.ts';

/** gain(O) = magnitude ⊙ inverse · unit, where inverse(O) · unit(1) is one over the rows' norms; dgain(O) is for backward. */
export type DoraGain = { magnitude: Weight; gain: Tensor; inverse: Tensor; unit: Tensor; dgain: Tensor };

/** out(N,C) += x(N,C) ⊙ weight(C) · factor(N) */
export function addScaledColumns(device: Device, out: Tensor, x: Tensor, weight: Tensor, factor: Tensor, zeros: Tensor, N: number, C: number): void {
  device.rmsNormBackward(out, null, x, zeros, weight, factor, N, C);
}

/** out(N,O) += gain ⊙ before(N,O) + bias */
export function doraForward(tape: Tape, out: Value, before: Value, bias: Tensor | null, { gain }: DoraGain, N: number, O: number): void {
  const { device, pool } = tape;
  const { zeros, ones } = constants(device, pool, N, O);
  addScaledColumns(device, out.data, before.data, gain, ones, zeros, N, O);
  if (bias) device.linear(out.data, ones, zeros, bias, N, 1, O, 1, 1); // adds ones · 0, and the bias
  pool.give(zeros);
  pool.give(ones);
}

/** Gives back dbefore(N,O), which the caller gives to the pool, and adds the gradient of m. */
export function doraBackward(tape: Tape, dout: Tensor, before: Value, { magnitude, gain, inverse, unit, dgain }: DoraGain, N: number, O: number): Tensor {
  const { device, pool } = tape;
  const { zeros, ones } = constants(device, pool, N, O);
  const dbefore = pool.take(O);
  if (magnitude.trained) {
    device.fill(dgain, 0, O);
    device.rmsNormBackward(dbefore, dgain, dout, before.data, gain, ones, N, O); // undoes gain ⊙ before, for gain; what it puts into dbefore is overwritten
    addScaledColumns(device, weightGrad(tape, magnitude)!, dgain, inverse, unit, zeros, 1, O); // undoes magnitude ⊙ inverse
  }
  device.fill(dbefore, 0, N * O);
  addScaledColumns(device, dbefore, dout, gain, ones, zeros, N, O); // … and for before
  pool.give(zeros);
  pool.give(ones);
  return dbefore;
}

function constants(device: Device, pool: Pool, N: number, O: number): { zeros: Tensor; ones: Tensor } {
  const [zeros, ones] = [pool.take(O), pool.take(1)];
  device.fill(zeros, 0, N * O);
  device.fill(ones, 1, N);
  return { zeros, ones };
}
