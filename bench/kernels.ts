/**
 * How fast the native kernels are, as shares of what this processor could do at best (fused multiply-adds on registers only).
 *   node bench/kernels.ts [1|2|…]      threads; all cores when left out
 * Each figure is the median of repeated calls. Peak is measured before and after every figure, so that a share means
 * something on a machine whose clock or neighbours change. Run it on a quiet machine.
 */
import { availableParallelism } from 'node:os';
import type { Device, Tensor } from '../src/engine/device/device.ts';
import { createFmaBurst, createNativeDevice } from '../src/engine/device/native.ts';

const threads = Number(process.argv[2] ?? 0) || availableParallelism();
const device: Device = createNativeDevice(threads);
const burst = createFmaBurst(threads);

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];
const seconds = (f: () => void): number => {
  const start = process.hrtime.bigint();
  f();
  return Number(process.hrtime.bigint() - start) / 1e9;
};

function peak(): number {
  return median(Array.from({ length: 5 }, () => {
    let flops = 0;
    const time = seconds(() => (flops = burst(2_000_000)));
    return flops / time;
  }));
}

function vector(length: number, scale = 1): Tensor {
  const x = device.alloc(length);
  device.write(x, Float32Array.from({ length }, (_, i) => (Math.sin(i * 12.9898) * 43758.5453 % 1) * scale));
  return x;
}

/** Times f (at least 5 calls and 0.3 s) and prints GFLOP/s, its share of peak, or GB/s. */
function report(label: string, work: number, unit: 'flop' | 'byte', f: () => void): void {
  f();
  const before = unit === 'flop' ? peak() : 0;
  const times: number[] = [];
  for (let total = 0; times.length < 5 || (total < 0.3 && times.length < 200); total += times.at(-1)!) times.push(seconds(f));
  const rate = work / median(times);
  const share = unit === 'flop' ? `${((200 * rate) / (before + peak())).toFixed(0).padStart(3)} % of peak` : '';
  const figure = `${(rate / 1e9).toFixed(1).padStart(7)} ${unit === 'flop' ? 'GFLOP/s' : 'GB/s'}`;
  console.log(`${label.padEnd(46)} ${(median(times) * 1e3).toFixed(2).padStart(9)} ms ${figure} ${share}`);
}

function linear(N: number, I: number, O: number, storage: 'f32' | 'bf16' = 'f32'): void {
  const x = vector(N * I);
  const w = device.alloc(O * I, storage);
  device.write(w, Float32Array.from({ length: O * I }, (_, i) => Math.cos(i)));
  const y = vector(N * O);
  const dw = device.alloc(O * I);
  const label = `N=${N} I=${I} O=${O} ${storage}`;
  const flops = 2 * N * I * O;
  if (N <= 32) {
    report(`linear ${label}`, O * I * (storage === 'f32' ? 4 : 2), 'byte', () => device.linear(y, x, w, null, N, I, O, 1, 0));
  } else {
    report(`linear ${label}`, flops, 'flop', () => device.linear(y, x, w, null, N, I, O, 1, 0));
    report(`linearBackwardInput ${label}`, flops, 'flop', () => device.linearBackwardInput(x, y, w, N, I, O, 1e-3, 0));
    report(`linearBackwardWeight ${label}`, flops, 'flop', () => device.linearBackwardWeight(dw, y, x, N, I, O, 1e-3));
  }
  for (const t of [x, w, y, dw]) device.free(t);
}

function attention(S: number, length: number, H: number, K: number, D: number): void {
  const N = S * length;
  const [q, out, dout, dq] = [0, 1, 2, 3].map(() => vector(N * H * D));
  const [k, v, dk, dv] = [0, 1, 2, 3].map(() => vector(N * K * D));
  const lse = device.alloc(N * H);
  const segments = device.alloc(S * 6, 'i32');
  const table = Array.from({ length: S }, (_, s) => [s * length, length, 0, 0, s * length, length]);
  device.write(segments, Int32Array.from(table.flat()));
  const flops = 2 * S * H * D * length * (length + 1); // both products over the causal half
  const label = `S=${S} length=${length} H=${H} K=${K} D=${D}`;
  const scale = 1 / Math.sqrt(D);
  report(`attention ${label}`, flops, 'flop', () => device.attention(out, lse, q, k, v, segments, S, H, K, D, scale));
  report(`attentionBackward ${label}`, 2.5 * flops, 'flop', () =>
    device.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale));
  for (const t of [q, out, dout, dq, k, v, dk, dv, lse, segments]) device.free(t);
}

function logprob(M: number, C: number, V: number): void {
  const [x, dx] = [vector(M * C), vector(M * C)];
  const [w, dw] = [vector(V * C), vector(V * C)];
  const [logprobs, lse] = [vector(M), vector(M)];
  const targets = device.alloc(M, 'i32');
  report(`logprob M=${M} C=${C} V=${V}`, 2 * M * C * V, 'flop', () => device.logprob(logprobs, lse, null, null, x, w, targets, M, C, V));
  report(`logprobBackward M=${M} C=${C} V=${V}`, 6 * M * C * V, 'flop', () =>
    device.logprobBackward(dx, dw, logprobs, x, w, targets, lse, M, C, V));
  for (const t of [x, dx, w, dw, logprobs, lse, targets]) device.free(t);
}

function vectors(n: number): void {
  const [a, b, c, d] = [0, 1, 2, 3].map(() => vector(n));
  report(`gatedActivation n=${n}`, 12 * n, 'byte', () => device.gatedActivation(a, b, c, n, 'silu'));
  report(`gatedActivationBackward n=${n}`, 20 * n, 'byte', () => device.gatedActivationBackward(a, b, d, b, c, n, 'silu'));
  report(`rmsNorm n=${n} C=512`, 8 * n, 'byte', () => device.rmsNorm(a, d, b, c, n / 512, 512, 1e-6));
  report(`rmsNormBackward n=${n} C=512`, 16 * n, 'byte', () => device.rmsNormBackward(a, null, b, c, d, d, n / 512, 512));
  report(`axpy n=${n}`, 12 * n, 'byte', () => device.axpy(a, b, 1e-6, n));
  report(`sumSquares n=${n}`, 4 * n, 'byte', () => device.sumSquares(d, 0, a, n));
  device.fill(d, 1, n);
  report(`adamw n=${n}`, 28 * n, 'byte', () => device.adamw(a, b, c, d, n, 1e-9, 0.9, 0.999, 1e-8, 0.01, 10, 1));
  for (const t of [a, b, c, d]) device.free(t);
}

console.log(`${device.description}; peak ${(peak() / 1e9).toFixed(0)} GFLOP/s`);
linear(1024, 1024, 1024);
linear(1024, 1024, 1024, 'bf16');
for (const [N, I, O] of [[512, 192, 576], [1024, 256, 768], [2048, 512, 1536], [4096, 576, 1536], [2048, 2048, 2048]]) linear(N, I, O);
for (const storage of ['f32', 'bf16'] as const) for (const N of [1, 8, 32]) linear(N, 2048, 2048, storage);
logprob(1024, 256, 8192);
logprob(512, 576, 49152);
attention(8, 256, 8, 2, 64);
attention(1, 2048, 9, 3, 64);
attention(16, 128, 4, 2, 32);
vectors(1 << 23);
