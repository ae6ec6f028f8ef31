/**
 * The products that cuda-bf16 gives to cuBLASLt, on the emulated one (native/cuda/emulator/cublas_lt.cpp): descriptors, layouts, transposes, bias, beta and
 * workspace, against the own kernels on the same rounded numbers; what goes which way, and that it is told. And the declarations in native/cuda/cublas_lt_api.h
 * against NVIDIA's header, where ATTUNE_CUDA_INCLUDE or a toolkit has it. What no GPU has shown: that the library's own algorithms compute this.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver, checkCublasLt } from '../../../../scripts/build-cuda.mjs';
import { asKept } from '../../formats/weight-blocks.ts';
import { blockCases } from '../conformance-blocks.ts';
import { cases as commonCases, createNormal, type Case, type Tensors } from '../conformance-cases.ts';
import { expertCases } from '../conformance-experts.ts';
import type { Device, Storage, Tensor } from '../device.ts';
import { createCudaDevice } from './cuda.ts';

const driver = (await buildEmulatedDriver()).path;
const withLibrary = (): Device => createCudaDevice('cuda-bf16', driver, driver);
const own = (): Device => createCudaDevice('cuda-bf16', driver);
const normal = createNormal(20261124);
const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => normal());
/** Sums of the same rounded numbers in another order: f32 against f64. */
const SUM = 1e-5;

function put(device: Device, data: Float32Array | Int32Array | Uint16Array): Tensor {
  const x = device.alloc(data.length, data instanceof Int32Array ? 'i32' : data instanceof Uint16Array ? 'bf16' : 'f32');
  device.write(x, data);
  return x;
}

/** The largest difference, by the largest number. */
function apart(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let [size, worst] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    if (!Number.isFinite(want[i])) expect(Object.is(got[i], want[i]), `[${i}] is ${got[i]}, expected ${want[i]}`).toBe(true);
    else [size, worst] = [Math.max(size, Math.abs(want[i])), Math.max(worst, Math.abs(got[i] - want[i]))];
  }
  return worst / Math.max(size, 1);
}

describe('the library is told', () => {
  test('by its version where it is used, else why not', () => {
    expect(withLibrary().description).toBe('cuda-bf16, emulated GPU (compute capability 8.6), driver for CUDA 13.0, bf16 products by cuBLASLt 13.0.0, f32 sums');
    expect(own().description).toContain('bf16 products by own kernels, f32 sums');
    expect(createCudaDevice('cuda-bf16', driver, '/nowhere/libcublasLt.so.13').description).toContain('by own kernels (/nowhere/libcublasLt.so.13 is not found)');
    expect(createCudaDevice('cuda', driver, driver).description).toMatch(/f32 products$/);
  });

  test('by what it lacks', () => {
    const addon = fileURLToPath(new URL('../../../../build/native/attune-cuda.node', import.meta.url)); // a library, and another
    expect(createCudaDevice('cuda-bf16', driver, addon).description).toContain(`by own kernels (${addon}: it has no cublasLtGetVersion)`);
  });
});

describe('its products are those of the own kernels', () => {
  const devices = [withLibrary(), own()];
  const shapes = [[16, 32, 24], [41, 8, 8], [130, 64, 264], [33, 264, 16]];
  for (const weights of ['f32', 'bf16'] as const) {
    test.for(shapes.flatMap(([N, I, O]) => [[1, 0], [-2, 0.25]].map(([alpha, beta]) => ({ N, I, O, alpha, beta }))))(
      `weights in ${weights}: $N rows of $I to $O, alpha $alpha, beta $beta`,
      async ({ N, I, O, alpha, beta }) => {
        const [x, dout, w, bias] = [random(N * I), random(N * O), random(O * I), random(O)];
        const [out, dx, dw] = [N * O, N * I, O * I].map((n) => (beta === 0 ? new Float32Array(n).fill(NaN) : random(n)));
        const results = devices.map(async (device) => {
          const t = { x: put(device, x), dout: put(device, dout), w: device.alloc(O * I, weights), bias: put(device, bias), out: put(device, out), dx: put(device, dx), dw: put(device, dw.fill(0.5)) };
          device.write(t.w, w);
          device.linear(t.out, t.x, t.w, beta === 0 ? null : t.bias, N, I, O, alpha, beta);
          device.linearBackwardInput(t.dx, t.dout, t.w, N, I, O, alpha, beta);
          device.linearBackwardWeight(t.dw, t.dout, t.x, N, I, O, alpha, 1);
          const got = [];
          for (const y of [t.out, t.dx, t.dw]) got.push(await device.read(y));
          for (const y of Object.values(t)) device.free(y);
          return got;
        });
        const [got, want] = await Promise.all(results);
        for (const i of got.keys()) expect(apart(got[i], want[i])).toBeLessThan(SUM);
        expect(got).not.toEqual(want); // sums in double: it was not the own kernels
      },
    );
  }
});

test.each(['int8', 'q4_0', 'nf4'] as const)('a weight in %s is decoded for many rows, and has the bits of its numbers', async (storage) => {
  const device = withLibrary();
  const [N, I, O] = [512, 64, 40];
  const [x, dout, w] = [put(device, random(N * I)), put(device, random(N * O)), random(O * I)];
  const run = async (kept: Storage, values: Float32Array): Promise<ArrayLike<number>[]> => {
    const [matrix, out, dx] = [device.alloc(O * I, kept), device.alloc(N * O), device.alloc(N * I)];
    device.write(matrix, values);
    device.linear(out, x, matrix, null, N, I, O, 1, 0);
    device.linearBackwardInput(dx, dout, matrix, N, I, O, 1, 0);
    return [await device.read(out), await device.read(dx)];
  };
  const got = await run(storage, w);
  expect(got).toEqual(await run('f32', asKept(w, storage)));
  const few = device.alloc(N * O); // half of the rows: by the own kernels, whose sums are f32
  const matrix = device.alloc(O * I, storage);
  device.write(matrix, w);
  device.linear(few, x, matrix, null, N / 2, I, O, 1, 0);
  expect(await device.read(few, 0, (N / 2) * O)).not.toEqual((got[0] as Float32Array).slice(0, (N / 2) * O));
});

describe('the conformance cases', () => {
  const [device, oracle] = [withLibrary(), own()];
  const run = async (on: Device, c: Case): Promise<Record<string, ArrayLike<number>>> => {
    const tensors: Tensors = Object.fromEntries(Object.entries(c.tensors).map(([name, data]) => [name, put(on, data as Float32Array)]));
    c.forward(on, tensors);
    c.backward?.(on, tensors);
    const results: Record<string, ArrayLike<number>> = {};
    for (const name of Object.keys(c.tensors)) results[name] = await on.read(tensors[name]);
    for (const x of Object.values(tensors)) on.free(x);
    return results;
  };
  const some = [...commonCases, ...blockCases, ...expertCases].filter(({ name, tensors }) => /^(linear|logprob)/.test(name)
    && Object.values(tensors).reduce((sum, data) => sum + data.length, 0) <= 60_000);
  test.for(some)('come to what the own kernels come to: $name', async (c) => {
    const [got, want] = [await run(device, c), await run(oracle, c)];
    for (const name of Object.keys(c.tensors)) if (name !== 'best' && !c.scratch?.includes(name)) expect(apart(got[name], want[name]), name).toBeLessThan(3 * SUM);
  });
});

describe('what it does not take', () => {
  const linear = async (device: Device, N: number, I: number, O: number): Promise<ArrayLike<number>> => {
    const many = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    const [out, x, w] = [device.alloc(N * O), put(device, many(N * I)), put(device, many(O * I))];
    device.linear(out, x, w, null, N, I, O, 1, 0);
    return device.read(out);
  };

  test.each([['few rows', 8, 64, 16], ['rows that are no whole 16 bytes', 16, 20, 16], ['an output whose rows are not', 16, 16, 14]])('%s go to the own kernels', async (_, N, I, O) => {
    const device = withLibrary();
    expect(await linear(device, N, I, O)).toEqual(await linear(own(), N, I, O));
    expect(device.description).toContain('by cuBLASLt 13.0.0, f32 sums');
  });

  test('a shape it knows no algorithm for goes there too, and is told', async () => {
    const device = withLibrary();
    for (let i = 0; i < 2; i++) expect(await linear(device, 16, 104, 16)).toEqual(await linear(own(), 16, 104, 16)); // the emulated one knows none of that depth
    expect(device.description).toContain('by cuBLASLt 13.0.0 (own kernels for 1 shapes it has no algorithm for)');
  });
});

test('takes its workspace once, and gives back every rounded copy', async () => {
  const [device, without] = [withLibrary(), own()];
  expect(device.memory().bytes - without.memory().bytes).toBe(4 * 2 ** 20);
  const [N, I, O] = [64, 64, 64];
  const t = [put(device, random(N * O)), put(device, random(N * I)), put(device, random(O * I))];
  const before = device.memory().bytes;
  for (let i = 0; i < 3; i++) device.linear(t[0], t[1], t[2], null, N, I, O, 1, 0);
  await device.read(t[0]);
  expect(device.memory().bytes).toBe(before);
});

test('NVIDIA\'s own header says what native/cuda/cublas_lt_api.h says', async ({ skip }) => {
  if (!(await checkCublasLt())) skip('cublasLt.h is not found: a folder that has it can be named in ATTUNE_CUDA_INCLUDE');
});
