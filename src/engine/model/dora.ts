/**
 * The norms of DoRA: one over ‖w + scale·B·A‖ of each row of each adapted linear, found anew for every forward, since A and B change with
 * every step. A row's norm is what rmsNorm finds in it (rstd = √I / ‖row‖). Rows are taken by blocks, so that a weight, however it is stored, is
 * never whole in f32. What the norms are for is ops/dora.ts.
 */
import type { Device, Tensor } from '../device/device.ts';
import { addScaledColumns } from '../ops/dora.ts';
import type { Linear } from './parameters.ts';

export type DoraNorms = {
  /** Gains by the weights as they are now. */
  refresh(): void;
  /** Magnitudes with which the adapter changes nothing: the norms themselves, where B is still 0. */
  start(): Promise<void>;
  free(): void;
};

const BLOCK = 1 << 22; // numbers of a weight at once

/** Of linears whose adapter has a magnitude. */
export function createDoraNorms(device: Device, linears: Linear[]): DoraNorms {
  const most = (of: (linear: Linear) => number) => linears.reduce((so, linear) => Math.max(so, of(linear)), 0);
  const height = ({ inFeatures: I, outFeatures: O }: Linear) => Math.min(O, 64 * Math.max(1, Math.floor(BLOCK / I / 64)));
  const [I, O, numbers] = [most((linear) => linear.inFeatures), most((linear) => linear.outFeatures), most((linear) => height(linear) * linear.inFeatures)];
  const [rows, normed, ones, zeros, index] = [device.alloc(numbers), device.alloc(numbers), device.alloc(I), device.alloc(O), device.alloc(O, 'i32')];
  device.fill(ones, 1, I);
  device.write(index, Int32Array.from({ length: O }, (_, i) => i));
  const blocks = linears.flatMap((linear) => {
    const { a, b, r, scale, dora } = linear.lora!;
    const step = height(linear);
    return Array.from({ length: Math.ceil(linear.outFeatures / step) }, (_, k) => {
      const [start, count] = [k * step, Math.min(step, linear.outFeatures - k * step)];
      const part = (x: Tensor, width: number, storage?: 'i32') => device.view(x, start * width, count * width, storage);
      return { w: linear.weight.tensor, I: linear.inFeatures, count, a: a.tensor, r, scale, b: part(b.tensor, r), index: part(index, 1, 'i32'), inverse: part(dora!.inverse, 1) };
    });
  });

  function refresh(): void {
    for (const { w, I, count, a, b, r, scale, index, inverse } of blocks) {
      device.gatherRows(rows, w, index, count, I);
      device.linearBackwardInput(rows, b, a, count, I, r, scale, 1); // rows += scale · B · A, see mergedWeight
      device.rmsNorm(normed, inverse, rows, ones, count, I, 0);
    }
    for (const { lora, outFeatures: O } of linears) {
      const { magnitude, gain, inverse, unit } = lora!.dora!;
      device.fill(gain, 0, O);
      addScaledColumns(device, gain, magnitude.tensor, inverse, unit, zeros, 1, O);
    }
  }

  return {
    refresh,
    async start() {
      refresh();
      for (const { lora, inFeatures: I } of linears) {
        const { magnitude, inverse } = lora!.dora!;
        device.write(magnitude.tensor, ((await device.read(inverse)) as Float32Array).map((x) => Math.sqrt(I) / x));
      }
    },
    free() {
      for (const tensor of [rows, normed, ones, zeros, index]) device.free(tensor);
    },
  };
}

/** merged(O,I) = w + scale·B·A, its rows made as long as their magnitudes, in place. */
export function scaleRows(merged: Float32Array, magnitude: Float32Array): void {
  const I = merged.length / magnitude.length;
  for (let row = 0; row < magnitude.length; row++) {
    const values = merged.subarray(row * I, (row + 1) * I);
    let squares = 0;
    for (const x of values) squares += x * x;
    const gain = magnitude[row]! / Math.sqrt(squares);
    for (let i = 0; i < I; i++) values[i]! *= gain;
  }
}
