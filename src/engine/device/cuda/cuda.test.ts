/**
 * What only the CUDA device has, on its emulated driver: its border, its memory, what a kernel refuses, its two precisions, and products cut in parts.
 * conformance.test.ts holds its kernels to the contract. Neither has met a GPU.
 */
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../../scripts/build-cuda.mjs';
import { asKept } from '../../formats/weight-blocks.ts';
import { blockCases } from '../conformance-blocks.ts';
import { cases as commonCases, createNormal } from '../conformance-cases.ts';
import { runCase } from '../conformance-run.ts';
import type { Device, Storage, Tensor } from '../device.ts';
import { createReferenceDevice } from '../reference.ts';
import { createCudaDevice } from './cuda.ts';

const MiB = 2 ** 20;
const driver = (await buildEmulatedDriver()).path;
const open = (name: 'cuda' | 'cuda-bf16' = 'cuda'): Device => createCudaDevice(name, driver);
const normal = createNormal(20261123);
const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => normal());

function put(device: Device, data: Float32Array | Int32Array): Tensor {
  const x = device.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32');
  device.write(x, data);
  return x;
}

test('without a driver it says what it needs', () => {
  expect(() => createCudaDevice('cuda', '/nowhere/libcuda.so.1')).toThrow(/^cuda: there is no NVIDIA driver here .* it needs an NVIDIA GPU and its driver$/);
});

describe('the border names kernel, argument, what was expected and what came', () => {
  const device = open();
  const x = device.alloc(6);
  test.each([
    ['a short tensor', () => device.linear(x, x, x, null, 2, 1, 4, 1, 0), 'linear: out: expected at least 8 elements, got 6'],
    ['a wrong storage', () => device.gatherRows(x, x, x, 1, 3), 'gatherRows: index: expected i32, got f32'],
    ['a tensor of another device', () => device.axpy(x, createReferenceDevice().alloc(6), 1, 6), 'axpy: x: expected a tensor of the cuda device, got another'],
    ['an unknown activation', () => device.gatedActivation(x, x, x, 6, 'relu' as 'silu'), 'gatedActivation: activation: expected silu or gelu_pytorch_tanh, got relu'],
    ['heads that do not divide', () => device.attention(x, x, x, x, x, x, 0, 3, 2, 1, 1), 'attention: H: expected a multiple of K (2), got 3'],
    ['a head too large', () => device.attention(x, x, x, x, x, x, 0, 1, 1, 257, 1), 'attention: D: expected a head size of at most 256, got 257'],
  ])('%s', (_, call, message) => expect(call).toThrow(message));
});

describe('what a kernel refuses comes out of the next read, once', () => {
  test('an index outside its table', async () => {
    const device = open();
    const [out, table, index] = [device.alloc(6), device.alloc(6), put(device, Int32Array.of(1, 2))];
    device.gatherRows(out, table, index, 2, 3);
    await expect(device.read(out)).rejects.toThrow('gatherRows: index[1]: expected 0 … 1, got 2');
    expect(await device.read(out)).toHaveLength(6);
  });

  test('a segment past the keys', async () => {
    const device = open();
    const [x, kv, segments] = [device.alloc(6), device.alloc(2), put(device, Int32Array.of(0, 2, 0, 0, 1, 2))];
    device.attention(x, device.alloc(6), x, kv, kv, segments, 1, 1, 1, 1, 1);
    await expect(device.read(x)).rejects.toThrow('attention: segments[0]: expected ranges inside 6 query and 2 key rows, and no more queries than keys');
  });
});

describe('memory', () => {
  test('that was freed is given again, and is zero again', async () => {
    const device = open();
    const x = device.alloc(MiB);
    device.fill(x, 7, MiB);
    device.free(x);
    const y = device.alloc(MiB);
    expect((await device.read(y)).every((value) => value === 0)).toBe(true);
    expect(device.memory()).toEqual({ bytes: 4 * MiB, peakBytes: 4 * MiB });
  });

  test('that is cached goes back, when what was queued has run, before it is said to be out; then the error names what was asked for', async () => {
    const device = open(); // of 512 MiB
    const [first, out] = [device.alloc(80 * MiB), device.alloc(2)];
    device.fill(first, 5, 2);
    device.copy(out, 0, first, 0, 2);
    device.free(first);
    const x = device.alloc(100 * MiB); // 400 MiB beside the 320 that are cached
    expect(() => device.alloc(40 * MiB)).toThrow(`cuda: out of memory, ${160 * MiB} bytes asked for with ${400 * MiB + 8} of the GPU's ${512 * MiB} in use.`);
    device.free(x);
    device.free(device.alloc(40 * MiB));
    expect([...(await device.read(out))]).toEqual([5, 5]);
  });

  test('written through pinned halves arrives whole, whatever its size', async () => {
    const device = open();
    for (const length of [1, 3 * MiB - 1, 17]) {
      const data = Float32Array.from({ length }, (_, i) => i);
      const x = device.alloc(length);
      device.write(x, data);
      data.fill(-1); // it was copied
      const got = (await device.read(x)) as Float32Array;
      expect(got.findIndex((value, i) => value !== i)).toBe(-1);
      device.free(x);
    }
  });
});

describe('products', () => {
  test('of few tiles and great depth are cut in parts, and come to the same bits twice', async () => {
    const [device, oracle] = [open(), createReferenceDevice()];
    const [N, I, O] = [900, 20, 12];
    const [dout, x, dw] = [random(N * O), random(N * I), random(O * I)];
    const run = async (on: Device): Promise<Float32Array> => {
      const to = put(on, dw);
      on.linearBackwardWeight(to, put(on, dout), put(on, x), N, I, O, 0.5, 1);
      return (await on.read(to)) as Float32Array;
    };
    const [got, again, want] = [await run(device), await run(device), await run(oracle)];
    expect(again).toEqual(got);
    const size = want.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    for (const [i, value] of want.entries()) expect(Math.abs(got[i] - value)).toBeLessThan(1e-5 * size);
  });
});

describe('weights in blocks', () => {
  // few rows, one tile with parts along the depth, and tiles of either size
  const shapes = [[3, 192, 20], [20, 1088, 24], [130, 256, 300]];
  test.for(['cuda', 'cuda-bf16'].flatMap((name) => (['int8', 'q4_0', 'nf4'] as const).flatMap((storage) => shapes.map(([N, I, O]) => ({ name: name as 'cuda', storage, N, I, O })))))(
    'give the bits of the numbers they mean: $storage on $name, $N rows of $I to $O',
    async ({ name, storage, N, I, O }) => {
      const device = open(name);
      const [x, dout, w] = [put(device, random(N * I)), put(device, random(N * O)), random(O * I)];
      const run = async (kept: Storage, values: Float32Array): Promise<ArrayLike<number>[]> => {
        const [matrix, out, dx] = [device.alloc(O * I, kept), device.alloc(N * O), device.alloc(N * I)];
        device.write(matrix, values);
        device.linear(out, x, matrix, null, N, I, O, 1, 0);
        device.linearBackwardInput(dx, dout, matrix, N, I, O, 1, 0);
        return [await device.read(out), await device.read(dx)];
      };
      expect(await run(storage, w)).toEqual(await run('f32', asKept(w, storage)));
    },
  );

  test('take what their bytes are, and are written whole', () => {
    const device = open();
    const before = device.memory().bytes;
    const w = device.alloc(64 * 300, 'nf4');
    expect(device.memory().bytes - before).toBe(4 * 257 + 4 * 2 + 300 + 32 * 300); // mean and map, scales of scales, scales, numbers
    expect(() => device.write(w, new Uint8Array(7))).toThrow('write: a tensor of 19200 in nf4 takes all its 19200 numbers or 10936 bytes at once, got 7.');
    const x = device.alloc(4 * 64);
    expect(() => device.linear(x, x, w, null, 1, 64, 4, 1, 0)).toThrow('linear: w: expected a matrix of 256 numbers in nf4, got 19200');
    expect(() => device.alloc(100, 'nf4')).toThrow('alloc: length: nf4 comes in blocks of 64, got 100');
  });
});

/** Rounding to bf16 loses at most 2⁻⁹ of each number: some thousandths of a sum's largest terms. */
const ROUNDED = 2e-2;
describe('cuda-bf16', () => {
  const [device, oracle] = [open('cuda-bf16'), createReferenceDevice()];
  const small = [...commonCases, ...blockCases].filter(({ name, tensors }) => /^(linear|attention|logprob)/.test(name) && !/q8_0|hundreds|tie|alpha=-2/.test(name)
    && Object.values(tensors).reduce((sum, data) => sum + data.length, 0) <= 60_000);
  test.for(small)('stays within what its rounding loses: $name', async (c) => {
    const [got, want] = [await runCase(device, c), await runCase(oracle, c)];
    for (const name of Object.keys(c.results)) {
      if (name === 'best') continue; // of two that are close the other may win
      const size = want[name].reduce((max, x) => (Number.isFinite(x) ? Math.max(max, Math.abs(x)) : max), 1);
      want[name].forEach((x, i) => {
        if (!Number.isNaN(x)) expect(Math.abs(got[name][i] - x), `${name}[${i}] is ${got[name][i]}, the reference says ${x}`).toBeLessThan(ROUNDED * size);
      });
    }
  });

  test('does round: not every product is exact', async () => {
    const [N, I, O] = [16, 32, 16];
    const [x, w, out] = [put(device, random(N * I)), put(device, random(O * I)), device.alloc(N * O)];
    const exact = open();
    const [x2, w2, out2] = [put(exact, (await device.read(x)) as Float32Array), put(exact, (await device.read(w)) as Float32Array), exact.alloc(N * O)];
    device.linear(out, x, w, null, N, I, O, 1, 0);
    exact.linear(out2, x2, w2, null, N, I, O, 1, 0);
    const [rounded, whole] = [(await device.read(out)) as Float32Array, (await exact.read(out2)) as Float32Array];
    expect(rounded.reduce((worst, value, i) => Math.max(worst, Math.abs(value - whole[i])), 0)).toBeGreaterThan(1e-4);
  });
});
