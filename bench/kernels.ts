/** The kernels that are no matrix products: attention, the fused LM head, norms, activations, the optimiser. FLOP/s or bytes/s, beside the machine's. */
import { createNativeDevice } from '../src/engine/device/native.ts';
import { sizes } from './configs.ts';
import { vector } from './gemm.ts';
import { type Bench, timedCalls } from './measure.ts';

export async function benchKernels(bench: Bench, only: string): Promise<void> {
  const device = createNativeDevice(bench.options.threads);

  async function flops(name: string, work: number, run: () => void): Promise<void> {
    if (!`kernels.${name}`.includes(only)) return;
    const { seconds, possible } = await timedCalls(bench, run, work, 3e9);
    bench.report(`kernels.${name}.gflops`, work / seconds / 1e9, 'GFLOP/s');
    bench.report(`kernels.${name}.share_of_peak`, work / possible, '');
  }
  async function bytes(name: string, work: number, run: () => void): Promise<void> {
    if (!`kernels.${name}`.includes(only)) return;
    const { seconds } = await timedCalls(bench, run, work, 1e9);
    bench.report(`kernels.${name}.n4m.gb_per_s`, work / seconds / 1e9, 'GB/s');
  }

  const shapes = [...Object.entries(sizes), ['M_2048', { ...sizes.M, T: bench.options.toy ? 32 : 2048, B: 1 }] as const];
  for (const [name, { B: S, T, H, K, C }] of shapes) {
    const D = C / H;
    const N = S * T;
    const [q, out, dout, dq] = [0, 1, 2, 3].map(() => vector(device, N * H * D));
    const [k, v, dk, dv] = [0, 1, 2, 3].map(() => vector(device, N * K * D));
    const lse = device.alloc(N * H), segments = device.alloc(S * 6, 'i32');
    device.write(segments, Int32Array.from(Array.from({ length: S }, (_, s) => [s * T, T, 0, 0, s * T, T]).flat()));
    const work = 2 * S * H * D * T * (T + 1), scale = 1 / Math.sqrt(D); // both products over the causal half
    await flops(`attention.${name}`, work, () => device.attention(out, lse, q, k, v, segments, S, H, K, D, scale));
    await flops(`attention_backward.${name}`, 2.5 * work, () =>
      device.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale));
    for (const t of [q, out, dout, dq, k, v, dk, dv, lse, segments]) device.free(t);
  }
  for (const [name, { C, V, T, B }] of Object.entries(sizes)) {
    const M = T * B;
    const [x, dx] = [vector(device, M * C), vector(device, M * C)];
    const [w, dw] = [vector(device, V * C, 'f32', 0.02), vector(device, V * C)];
    const [logprobs, lse, entropy] = [0, 1, 2].map(() => vector(device, M));
    const targets = device.alloc(M, 'i32'), best = device.alloc(M, 'i32'), kept = device.alloc(M * V);
    await flops(`logprob.${name}`, 2 * M * C * V, () => device.logprob(logprobs, lse, entropy, best, kept, x, w, targets, M, C, V));
    await flops(`logprob_backward.${name}`, 4 * M * C * V, () => device.logprobBackward(dx, dw, kept, logprobs, x, w, targets, lse, M, C, V, 0));
    for (const t of [x, dx, w, dw, logprobs, lse, entropy, targets, best, kept]) device.free(t);
  }
  const n = bench.options.toy ? 1 << 12 : 1 << 22;
  const [a, b, c, d] = [0, 1, 2, 3].map(() => vector(device, n));
  await bytes('gated_activation', 12 * n, () => device.gatedActivation(a, b, c, n, 'silu'));
  await bytes('gated_activation_backward', 20 * n, () => device.gatedActivationBackward(a, b, d, b, c, n, 'silu'));
  await bytes('rms_norm', 8 * n, () => device.rmsNorm(a, d, b, c, n / 512, 512, 1e-6));
  await bytes('rms_norm_backward', 16 * n, () => device.rmsNormBackward(a, null, b, c, d, d, n / 512, 512));
  await bytes('axpy', 12 * n, () => device.axpy(a, b, 1e-6, n));
  await bytes('sum_squares', 4 * n, () => device.sumSquares(d, 0, a, n));
  device.fill(d, 1, n);
  await bytes('adamw', 28 * n, () => device.adamw(a, b, c, d, n, 1e-9, 0.9, 0.999, 1e-8, 0.01, 10, 1));
}
