/** The CUDA device's kernels of mixtures of experts: native/cuda/experts.cu's launches. */
import type { Device, Tensor } from '../device.ts';
import type { Gpu } from './driver.ts';

type ExpertKernels = Pick<Device, 'route' | 'routeBackward' | 'combineRows' | 'combineRowsBackward'>;

export function createExperts(gpu: Gpu): ExpertKernels {
  const warps = (n: number): [number] => [Math.ceil(n / 4)];
  /** Addresses of a kernel's tensors, each named and as long as it must be. */
  const named = (kernel: string) => ({
    f32: (x: Tensor, what: string, n: number): number => gpu.need(x, `${kernel}: ${what}`, n, 'f32'),
    i32: (x: Tensor, what: string, n: number): number => gpu.need(x, `${kernel}: ${what}`, n, 'i32'),
  });

  return {
    route(probs, weights, chosen, slots, rows, bounds, load, logits, N, E, K, normalise) {
      const { f32, i32 } = named('route');
      const [pairs, at, begin] = [N * K, i32(chosen, 'chosen', N * K), i32(bounds, 'bounds', E + 1)];
      if (N > 0) gpu.launch('route_rows', warps(N), 128, [f32(probs, 'probs', N * E), f32(weights, 'weights', pairs), at, f32(logits, 'logits', N * E), N, E, K, normalise]);
      gpu.scratch(4 * E, (counts) => {
        gpu.launch('count_pairs', [E], 256, [counts, at, pairs]);
        gpu.launch('place_experts', [1], 32, [begin, load && f32(load, 'load', E), counts, E]);
      });
      gpu.launch('place_pairs', [E], 256, [i32(slots, 'slots', pairs), i32(rows, 'rows', pairs), begin, at, pairs, K]);
    },
    routeBackward(dlogits, dweights, dprobs, probs, weights, chosen, N, E, K, normalise) {
      const { f32, i32 } = named('routeBackward');
      const args = [f32(dlogits, 'dlogits', N * E), f32(dweights, 'dweights', N * K), dprobs && f32(dprobs, 'dprobs', E), f32(probs, 'probs', N * E)];
      if (N > 0) gpu.launch('route_backward', warps(N), 128, [...args, f32(weights, 'weights', N * K), i32(chosen, 'chosen', N * K), N, E, K, normalise]);
    },
    combineRows(out, y, weights, slots, N, K, C) {
      const { f32, i32 } = named('combineRows');
      gpu.each('combine_rows', N * C, [f32(out, 'out', N * C), f32(y, 'y', N * K * C), f32(weights, 'weights', N * K), i32(slots, 'slots', N * K), N * C, K, C]);
    },
    combineRowsBackward(dy, dweights, dout, y, weights, slots, N, K, C) {
      const { f32, i32 } = named('combineRowsBackward');
      const pairs = N * K;
      const args = [f32(dy, 'dy', pairs * C), dweights && f32(dweights, 'dweights', pairs), f32(dout, 'dout', N * C), f32(y, 'y', pairs * C)];
      if (pairs > 0) gpu.launch('combine_rows_backward', warps(pairs), 128, [...args, f32(weights, 'weights', pairs), i32(slots, 'slots', pairs), pairs, K, C]);
    },
  };
}
