/**
 * AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW does it, in one kernel pass a parameter. Holds the two moments of each parameter
 * and the count of steps: what a checkpoint must keep. Which learning rate a step gets is schedule.ts; clipping is a factor it is given.
 */
import type { Device, Tensor } from '../device/device.ts';
import type { Optimizer } from '../../shared/recipe.ts';

/** What an optimiser needs of a trained parameter (model/parameters.ts). As in torch, one whose grad no backward has made is left as it is. */
export type Trained = { name: string; shape: number[]; tensor: Tensor; grad: Tensor | null; decay: boolean };

export interface AdamW {
  /** Steps taken; a resumed run sets it. */
  steps: number;
  /** First and second moments (m, v), each of its parameter's shape, by parameter name. */
  readonly moments: readonly { name: string; shape: number[]; m: Tensor; v: Tensor }[];
  /** √ of the sum of squares over all gradients, unscaled; the same bits at any thread count. */
  gradNorm(): Promise<number>;
  /** One step from the gradients times gradScale (1 / tokens or pairs, times the clip). Gradients stay as they are. */
  step(learningRate: number, gradScale: number): void;
  free(): void;
}

export function createAdamW(device: Device, parameters: readonly Trained[], optimizer: Optimizer): AdamW {
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay } = optimizer;
  const moments = parameters.map(({ name, shape, tensor }) => ({ name, shape, m: device.alloc(tensor.length), v: device.alloc(tensor.length) }));
  const sums = device.alloc(Math.max(1, parameters.length));
  return {
    steps: 0,
    moments,
    async gradNorm() {
      parameters.forEach(({ grad }, i) => (grad ? device.sumSquares(sums, i, grad, grad.length) : device.write(sums, Float32Array.of(0), i)));
      const values = (await device.read(sums, 0, parameters.length)) as Float32Array;
      return Math.sqrt(values.reduce((total, x) => total + x, 0));
    },
    step(learningRate, gradScale) {
      this.steps++;
      parameters.forEach(({ tensor, grad, decay }, i) => {
        if (!grad) return;
        const { m, v } = moments[i]!;
        device.adamw(
          tensor, grad, m, v, tensor.length, learningRate, adamBeta1, adamBeta2, adamEpsilon, decay ? weightDecay : 0, this.steps, gradScale,
        );
      });
    },
    free() {
      device.free(sums);
      for (const { m, v } of moments) {
        device.free(m);
        device.free(v);
      }
    },
  };
}
