/**
 * Whether a device computes what the reference computes, and how fast it is here: some seconds before somebody trusts it with a night. A few kernels on
 * shapes of a small model, no more: conformance.test.ts is what holds every kernel to the contract.
 */
import type { SelfTest } from '../../shared/devices.ts';
import { createRandom } from '../random.ts';
import type { Device, Tensor } from './device.ts';
import { createReferenceDevice } from './reference.ts';

/** Sums of some hundred terms in f32, in any order; of numbers rounded to bf16, which has 2⁻⁹ of each to lose, and to f16, which has 2⁻¹². */
const TOLERANCE = 1e-4;
const ROUNDED_TOLERANCES: Record<string, number> = { 'cuda-bf16': 2e-2, 'webgpu-f16': 4e-3 };
/** Each speed is the best of rounds that take this long, ms. */
const MEASURED = 1500;
const SIDE = 512;
const LONG = 2 ** 24;

type Values = Record<string, Float32Array | Int32Array>;
type Check = { kernel: string; values: Values; call(device: Device, t: Record<string, Tensor>): void; results: string[] };

export async function selfTest(device: Device): Promise<SelfTest> {
  const reference = createReferenceDevice();
  let worst = { kernel: '', error: -1 };
  for (const check of checks()) {
    const [got, expected] = [await run(device, check), await run(reference, check)];
    for (const name of check.results) {
      const size = expected[name].reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const error = expected[name].reduce((max, x, i) => Math.max(max, Number.isNaN(got[name][i]) ? Infinity : Math.abs(x - got[name][i])), 0) / size;
      if (error > worst.error) worst = { kernel: check.kernel, error };
    }
  }
  return { worst, agrees: worst.error <= (ROUNDED_TOLERANCES[device.name] ?? TOLERANCE), flopsPerSecond: await measureProducts(device), bytesPerSecond: await measureSums(device) };
}

async function run(device: Device, { values, call, results }: Check): Promise<Record<string, Float32Array>> {
  const tensors = Object.fromEntries(Object.entries(values).map(([name, data]) => {
    const x = device.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32');
    device.write(x, data);
    return [name, x];
  }));
  call(device, tensors);
  const got: Record<string, Float32Array> = {};
  for (const name of results) got[name] = (await device.read(tensors[name])) as Float32Array;
  for (const x of Object.values(tensors)) device.free(x);
  return got;
}

function checks(): Check[] {
  const random = createRandom(1);
  const reals = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
  const below = (n: number, end: number): Int32Array => Int32Array.from({ length: n }, () => random.int(end));
  const zeros = (n: number): Float32Array => new Float32Array(n);
  const [N, C, O, H, K, D, V] = [48, 64, 96, 4, 2, 16, 257];
  const segments = Int32Array.of(0, 16, 0, 0, 0, 16, 16, 32, 0, 16, 16, 32); // a prompt of 16 tokens, and an answer that continues it
  return [
    {
      kernel: 'linear', results: ['out', 'dx', 'dw'],
      values: { out: zeros(N * O), x: reals(N * C), w: reals(O * C), dout: reals(N * O), dx: zeros(N * C), dw: zeros(O * C) },
      call(d, t) {
        d.linear(t.out, t.x, t.w, null, N, C, O, 1, 0);
        d.linearBackwardInput(t.dx, t.dout, t.w, N, C, O, 1, 0);
        d.linearBackwardWeight(t.dw, t.dout, t.x, N, C, O, 1, 1);
      },
    },
    {
      kernel: 'rmsNorm', results: ['out', 'dx', 'dweight'],
      values: { out: zeros(N * C), rstd: zeros(N), x: reals(N * C), weight: reals(C), dout: reals(N * C), dx: zeros(N * C), dweight: zeros(C) },
      call(d, t) {
        d.rmsNorm(t.out, t.rstd, t.x, t.weight, N, C, 1e-5);
        d.rmsNormBackward(t.dx, t.dweight, t.dout, t.x, t.weight, t.rstd, N, C);
      },
    },
    {
      kernel: 'attention', results: ['out', 'dq', 'dk', 'dv'],
      values: {
        out: zeros(N * H * D), lse: zeros(N * H), q: reals(N * H * D), k: reals(N * K * D), v: reals(N * K * D), segments,
        dout: reals(N * H * D), dq: zeros(N * H * D), dk: zeros(N * K * D), dv: zeros(N * K * D),
      },
      call(d, t) {
        d.attention(t.out, t.lse, t.q, t.k, t.v, t.segments, 2, H, K, D, D ** -0.5);
        d.attentionBackward(t.dq, t.dk, t.dv, t.dout, t.out, t.lse, t.q, t.k, t.v, t.segments, 2, H, K, D, D ** -0.5);
      },
    },
    {
      kernel: 'gatedActivation', results: ['out', 'dgate', 'dup'],
      values: { out: zeros(N * C), gate: reals(N * C), up: reals(N * C), dout: reals(N * C), dgate: zeros(N * C), dup: zeros(N * C) },
      call(d, t) {
        d.gatedActivation(t.out, t.gate, t.up, N * C, 'silu');
        d.gatedActivationBackward(t.dgate, t.dup, t.dout, t.gate, t.up, N * C, 'silu');
      },
    },
    {
      kernel: 'logprob', results: ['logprobs', 'dx', 'dw'],
      values: { logprobs: zeros(N), lse: zeros(N), x: reals(N * C), w: reals(V * C), targets: below(N, V), dlogprobs: reals(N), dx: zeros(N * C), dw: zeros(V * C) },
      call(d, t) {
        d.logprob(t.logprobs, t.lse, null, null, null, t.x, t.w, t.targets, N, C, V);
        d.logprobBackward(t.dx, t.dw, null, t.dlogprobs, t.x, t.w, t.targets, t.lse, N, C, V, 1);
      },
    },
    {
      kernel: 'adamw', results: ['w', 'm', 'v'],
      values: { w: reals(C * O), grad: reals(C * O), m: zeros(C * O), v: zeros(C * O) },
      call: (d, t) => d.adamw(t.w, t.grad, t.m, t.v, C * O, 1e-2, 0.9, 0.999, 1e-8, 0.1, 1, 1),
    },
  ];
}

function measureProducts(device: Device): Promise<number> {
  return measure(device, [SIDE * SIDE, SIDE * SIDE, SIDE * SIDE], 2 * SIDE ** 3, ([out, x, w]) => device.linear(out, x, w, null, SIDE, SIDE, SIDE, 1, 0));
}

function measureSums(device: Device): Promise<number> {
  return measure(device, [LONG, LONG], 3 * 4 * LONG, ([out, x]) => device.axpy(out, x, 1e-6, LONG));
}

/** `work` of a call, by the seconds of the fastest round; reading one number back is what waits for the device. */
async function measure(device: Device, lengths: number[], work: number, call: (tensors: Tensor[]) => void): Promise<number> {
  const tensors = lengths.map((length) => device.alloc(length));
  for (const x of tensors) device.fill(x, 0.5, x.length);
  let best = Infinity;
  for (let calls = 1, end = performance.now() + MEASURED; performance.now() < end; calls = Math.min(64, calls * 2)) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) call(tensors);
    await device.read(tensors[0], 0, 1);
    best = Math.min(best, (performance.now() - start) / calls);
  }
  for (const x of tensors) device.free(x);
  return work / (best / 1000);
}
