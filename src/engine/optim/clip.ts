/** Gradient clipping by global norm, as torch.nn.utils.clip_grad_norm_: here a norm and a factor, for adamw takes the factor. */
import type { Device } from '../device/device.ts';
import type { Trained } from './adamw.ts';

/** √ of the sum of squares over all gradients, unscaled; the same bits at any thread count. */
export async function gradNorm(device: Device, parameters: readonly Trained[]): Promise<number> {
  const sums = device.alloc(Math.max(1, parameters.length));
  parameters.forEach(({ grad }, i) => grad && device.sumSquares(sums, i, grad, grad.length));
  const values = (await device.read(sums, 0, parameters.length)) as Float32Array;
  device.free(sums);
  return Math.sqrt(values.reduce((total, x) => total + x, 0));
}

/** The factor that brings a gradient of this norm down to maxGradNorm; 1 when it is below, or when maxGradNorm is 0 (off). */
export function clipScale(norm: number, maxGradNorm: number): number {
  return maxGradNorm === 0 ? 1 : Math.min(1, maxGradNorm / (norm + 1e-6));
}
