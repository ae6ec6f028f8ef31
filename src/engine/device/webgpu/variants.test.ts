/**
 * What conformance.test.ts does not run of the WebGPU devices, since the machine's card may lack it or have it: products of f16, here of f32 rounded as f16
 * would be, so that scales, tiles and sums are tried on any card; kernels without subgroups; and the texts for cards that nobody here has, compiled by Dawn
 * for its null device, which runs nothing.
 * Run by itself, with ATTUNE_WEBGPU_VARIANTS=1: several devices of Dawn in one process ended it once in thirteen runs (SIGABRT, cause not found), and nothing of the product opens two.
 */
import { describe, expect, test } from 'vitest';
import { cases, createNormal, type Case } from '../conformance-cases.ts';
import { expertCases } from '../conformance-experts.ts';
import { runCase } from '../conformance-run.ts';
import type { Device } from '../device.ts';
import { createReferenceDevice } from '../reference.ts';
import { MATRIX } from './abilities.ts';
import { wgsl } from './kernel.ts';
import { product } from './linear.ts';
import { createWebgpuDevice } from './webgpu.ts';

/** Rounding to f16 loses at most 2⁻¹² of each number: some ten-thousandths of a sum's largest terms. */
const ROUNDED = 3e-3;
/** What f32 sums and exponentials may differ by. */
const SUMMED = 2e-5;
/** Elements of a case: SwiftShader is slow. */
const SMALL = 8_000;

const missing = process.env.ATTUNE_WEBGPU_VARIANTS ? await createWebgpuDevice().then(() => null, (error: Error) => error.message) : 'run by itself, with ATTUNE_WEBGPU_VARIANTS=1';
const oracle = createReferenceDevice();
const small = [...cases, ...expertCases].filter(({ tensors }) => Object.values(tensors).reduce((sum, data) => sum + data.length, 0) <= SMALL);

async function expectNear(device: Device, c: Case, tolerance: number): Promise<void> {
  const [got, want] = [await runCase(device, c), await runCase(oracle, c)];
  for (const name of Object.keys(c.results)) {
    if (name === 'best' && tolerance === ROUNDED) continue; // of two that are close the other may win
    const size = want[name].reduce((max, x) => (Number.isFinite(x) ? Math.max(max, Math.abs(x)) : max), 1);
    want[name].forEach((x, i) => {
      if (Number.isNaN(x)) expect(got[name][i], `${name}[${i}]`).toBeNaN();
      else expect(Math.abs(got[name][i] - x), `${name}[${i}] is ${got[name][i]}, the reference says ${x}`).toBeLessThan(tolerance * size);
    });
  }
}

describe.skipIf(missing !== null)('webgpu-f16, played by rounding', async () => {
  const device = missing ? oracle : await createWebgpuDevice('webgpu-f16', { half: 'rounded' });
  const products = small.filter(({ name }) => /^(linear|logprob|expert|mixture)/.test(name) && !/tie|hundreds/.test(name));
  test.for(products)('stays within what its rounding loses: $name', (c) => expectNear(device, c, ROUNDED));

  const [N, I, O] = [16, 32, 16];
  const normal = createNormal(7);
  const random = (n: number, scale: number): Float32Array => Float32Array.from({ length: n }, () => scale * normal());
  async function outputs(on: Device, x: Float32Array, w: Float32Array, scale: number): Promise<Float32Array> {
    const [tx, tw, out] = [on.alloc(N * I), on.alloc(O * I), on.alloc(N * O)];
    on.write(tx, x);
    on.write(tw, w);
    on.linear(out, tx, tw, null, N, I, O, scale, 0);
    return (await on.read(out)) as Float32Array;
  }

  test('does round: not every product is exact', async () => {
    const [x, w] = [random(N * I, 1), random(O * I, 1)];
    const [got, want] = [await outputs(device, x, w, 1), await outputs(oracle, x, w, 1)];
    expect(got.reduce((worst, value, i) => Math.max(worst, Math.abs(value - want[i])), 0)).toBeGreaterThan(1e-4);
  });

  // f16 ends at 65,504 and begins at 6e-8: neither an activation of a million nor a gradient of 1e-9 fits as it is
  test.each([[1e6, 1], [1e-9, 1], [1e6, 1e6], [1e-9, 1e-9], [1e30, 1e-30], [0, 1]])('numbers of %s times numbers of %s neither overflow nor vanish', async (left, right) => {
    const [x, w] = [random(N * I, left), random(O * I, right)];
    const [got, want] = [await outputs(device, x, w, 1), await outputs(oracle, x, w, 1)];
    const size = want.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    for (const [i, value] of want.entries()) expect(Math.abs(got[i] - value)).toBeLessThanOrEqual(ROUNDED * size);
  });

  test.each([Infinity, NaN])('a run that has diverged shows: %s gives no number', async (value) => {
    const [x, w] = [random(N * I, 1), random(O * I, 1)];
    x[5] = value;
    expect(Number.isFinite((await outputs(device, x, w, 1))[0])).toBe(false);
  });

  test('more products than there are places for largest numbers', async () => {
    const [x, w] = [random(N * I, 1), random(O * I, 1)];
    const first = await outputs(device, x, w, 1);
    for (let i = 0; i < 260; i++) {
      const tensors = [N * O, N * I, O * I].map((length) => device.alloc(length));
      device.linear(tensors[0], tensors[1], tensors[2], null, N, I, O, 1, 0);
      for (const tensor of tensors) device.free(tensor);
    }
    expect(await outputs(device, x, w, 1)).toEqual(first);
  });
});

// SwiftShader takes its time to compile them: with the slow proofs
describe.skipIf(missing !== null || !process.env.ATTUNE_SLOW)('the largest tiles, which conformance.test.ts has no shapes for', () => {
  // of 64 × 64 there are 12 · 12: enough to keep a graphics card busy, both ways and for the weight
  const [N, I, O] = [710, 5, 750];
  const normal = createNormal(11);
  const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => normal());
  const c: Case = {
    name: 'large', results: { out: 0, dx: 0, dw: 0 },
    tensors: { out: random(N * O), x: random(N * I), w: random(O * I), left: random(I * N), right: random(I * O), dw: random(N * O), dx: random(N * O), dout: random(N * I), wide: random(I * O) },
    forward: (d, t) => d.linear(t.out, t.x, t.w, null, N, I, O, 1, 0),
    backward(d, t) {
      d.linearBackwardInput(t.dx, t.dout, t.wide, N, O, I, 0.5, 1);
      d.linearBackwardWeight(t.dw, t.left, t.right, I, O, N, 0.5, 1);
    },
  };
  test.each(['webgpu', 'webgpu-f16'] as const)('%s', async (name) => expectNear(await createWebgpuDevice(name, { half: 'rounded' }), c, name === 'webgpu' ? SUMMED : ROUNDED));
});

describe.skipIf(missing !== null)('webgpu without subgroups', async () => {
  const device = missing ? oracle : await createWebgpuDevice('webgpu', { subgroups: false });
  const reducing = small.filter(({ name }) => /^(rmsNorm|layerNorm|logprob|route N=67|combineRows|linear N=1)/.test(name) && !/hundreds/.test(name));
  test.for(reducing)('$name', (c) => expectNear(device, c, SUMMED));
});

describe.skipIf(missing !== null)('texts for cards that are not here', async () => {
  if (missing !== null) return;
  const { create } = await import('webgpu');
  const instance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = (await instance.requestAdapter())!;
  const device = await adapter.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups', MATRIX] as GPUFeatureName[] });
  const shapes = [
    null, { M: 16, N: 16, K: 16, subgroup: 32 }, { M: 8, N: 8, K: 8, subgroup: 32 }, { M: 8, N: 16, K: 16, subgroup: 16 }, { M: 16, N: 16, K: 16, subgroup: 64 },
  ];
  const kinds = [['forward', 'bf16', false], ['forward', 'q4_0', true], ['input', 'nf4', false], ['weight', 'f32', true]] as const;
  const variants = shapes.flatMap((matrix) => kinds.map(([kind, storage, grouped]) => ({ kind, storage, side: 4, biased: kind === 'forward' && !grouped, grouped, half: 'f16', matrix }) as const));
  test.for(variants)('$kind of $storage by $matrix', async (variant) => {
    expect(instance).toBeDefined(); // held: Dawn ends with it
    const kernel = product(variant);
    const code = wgsl(kernel, Object.fromEntries(Object.keys(kernel.buffers).map((name) => [name, name])), true);
    device.pushErrorScope('validation');
    device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code }), entryPoint: 'main' } });
    expect((await device.popErrorScope())?.message).toBeUndefined();
  });
});
