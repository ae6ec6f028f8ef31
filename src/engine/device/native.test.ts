/**
 * What only the native device has: its border, its memory and its choice of instruction set. Kernels are tested by conformance.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { weightBlocks } from '../formats/weight-blocks.ts';
import { createNormal } from './conformance-cases.ts';
import { BLOCK_NUMBERS } from './device.ts';
import type { Device, Storage, Tensor } from './device.ts';
import { createNativeDevice } from './native.ts';
import { createReferenceDevice } from './reference.ts';

const MiB = 1024 * 1024;

describe('the border names kernel, argument, what was expected and what came', () => {
  const device = createNativeDevice(1);
  const x = device.alloc(6);
  const w = device.alloc(6);

  test.each([
    ['a short tensor', () => device.linear(x, x, w, null, 2, 1, 4, 1, 0), 'linear: out: expected at least 8 elements, got 6'],
    ['a wrong storage', () => device.gatherRows(x, w, x, 1, 3), 'gatherRows: index: expected i32, got f32'],
    ['a fraction', () => device.fill(x, 0, 1.5), 'fill: n: expected an integer of at least 0, got 1.5'],
    ['NaN as a length', () => device.fill(x, 0, NaN), 'fill: n: expected an integer of at least 0, got NaN'],
    [
      'a tensor of another device',
      () => device.axpy(x, createReferenceDevice().alloc(6), 1, 6),
      'axpy: x: expected a tensor of the native device, got undefined',
    ],
    [
      'an unknown activation',
      () => device.gatedActivation(x, x, x, 6, 'relu' as 'silu'),
      'gatedActivation: activation: expected silu or gelu_pytorch_tanh, got relu',
    ],
    [
      'heads that do not divide',
      () => device.attention(x, x, x, x, x, x, 0, 3, 2, 1, 1),
      'attention: H: expected a multiple of K (2), got 3',
    ],
  ])('%s', (_, call, message) => expect(call).toThrow(message));

  test('an index outside its table', () => {
    const index = device.alloc(2, 'i32');
    device.write(index, Int32Array.of(1, 2));
    expect(() => device.gatherRows(x, w, index, 2, 3)).toThrow('gatherRows: index[1]: expected 0 … 1, got 2');
  });

  test('a segment past the keys', () => {
    const segments = device.alloc(6, 'i32');
    device.write(segments, Int32Array.of(0, 2, 0, 0, 1, 2));
    const kv = device.alloc(2);
    expect(() => device.attention(x, x, x, kv, kv, segments, 1, 1, 1, 1, 1)).toThrow(/segments\[0\] = \(0, 2, 0, 0, 1, 2\).* 2 key rows/);
  });
});

describe('memory', () => {
  test('is counted in bytes, and what is allocated again is zero again', async () => {
    const device = createNativeDevice(1);
    const x = device.alloc(MiB); // 4 bytes an element
    expect(device.memory()).toEqual({ bytes: 4 * MiB, peakBytes: 4 * MiB });
    device.fill(x, 7, MiB);
    device.free(x);
    const y = device.alloc(2 * MiB, 'bf16');
    expect(device.memory()).toEqual({ bytes: 4 * MiB, peakBytes: 4 * MiB });
    expect((await device.read(y)).every((bits) => bits === 0)).toBe(true);
    device.free(y);
    expect(device.memory()).toEqual({ bytes: 0, peakBytes: 4 * MiB });
  });

  test('of batches that never repeat a size does not pile up', () => {
    const device = createNativeDevice(1);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 200; i++) {
      const x = device.alloc(MiB + i * 16384); // 4 to 16.8 MiB
      device.fill(x, 1, x.length);
      device.free(x);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * MiB); // the runtime's own
  });
});

test('ATTUNE_SIMD asks for a narrower instruction set, and an unknown one is refused by name', () => {
  const module = JSON.stringify(new URL('./native.ts', import.meta.url).href);
  const program = `import { createNativeDevice } from ${module}; console.log(createNativeDevice(2).description)`;
  const run = (simd: string) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      env: { ...process.env, ATTUNE_SIMD: simd },
    });
  if (process.arch === 'x64') expect(run('portable').stdout).toBe('native, portable, 2 threads\n');
  expect(run('mmx').stderr).toMatch(/ATTUNE_SIMD: mmx is not among what this processor runs \(.+\)/);
});

test('threads must be a whole number', () => {
  expect(() => createNativeDevice(1.5)).toThrow('threads is 1.5');
});

describe.each(['int8', 'q4_0', 'nf4'] as const)('products with %s', (storage) => {
  test.each([[1, 576, 50], [32, 192, 67], [33, 192, 67], [200, 576, 131]])('have the bits of the decoded matrix in f32: N=%i I=%i O=%i', async (N, I, O) => {
    const device = createNativeDevice(2);
    const normal = createNormal(N);
    const numbers = (n: number): Float32Array => Float32Array.from({ length: n }, normal);
    const { quantize, dequantize } = weightBlocks(storage);
    const bytes = quantize(numbers(O * I));
    const tensor = (values: Float32Array) => {
      const x = device.alloc(values.length);
      device.write(x, values);
      return x;
    };
    const [x, dout, dense, blocks] = [tensor(numbers(N * I)), tensor(numbers(N * O)), tensor(dequantize(bytes, O * I)), device.alloc(O * I, storage)];
    device.write(blocks, bytes);
    const results = await Promise.all([dense, blocks].map(async (w) => {
      const [out, dx] = [device.alloc(N * O), device.alloc(N * I)];
      device.linear(out, x, w, null, N, I, O, 1, 0);
      device.linearBackwardInput(dx, dout, w, N, I, O, 1, 0);
      return Buffer.concat(await Promise.all([out, dx].map(async (y) => Buffer.from((await device.read(y)).buffer))));
    }));
    expect(results[1]!.equals(results[0]!)).toBe(true);
  });

  test('are refused where rows are no whole blocks, and so is a part of the bytes', () => {
    const device = createNativeDevice(1);
    const numbers = BLOCK_NUMBERS[storage];
    const { bytes } = weightBlocks(storage);
    const [x, w] = [device.alloc(1000), device.alloc(numbers * 6, storage)];
    expect(() => device.alloc(numbers + 1, storage)).toThrow(`${storage} comes in blocks of ${numbers}`);
    expect(() => device.linear(x, x, w, null, 1, numbers / 2, 12, 1, 0)).toThrow(`${storage} rows are a multiple of ${numbers} long`);
    expect(() => device.write(w, new Uint8Array(3))).toThrow(`takes all its ${numbers * 6} numbers or ${bytes(numbers * 6)} bytes at once, got 3`);
    expect(() => device.fill(w, 0, 1)).toThrow(/written whole/);
  });
});

describe('linears of one x that follow one another run as one', () => {
  const I = 64, O = 48, N = 3;
  const numbers = (n: number, from: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(from + 1.7 * i)));

  /** Four outputs, of which some calls hang on others; `looked`: after every call something is read, so that none waits. */
  async function outputs(calls: (d: Device, t: Record<string, Tensor>) => void, looked: boolean): Promise<number[][]> {
    const device = createNativeDevice(2);
    const put = (data: Float32Array, storage: Storage = 'f32'): Tensor => {
      const x = device.alloc(data.length, storage);
      device.write(x, data);
      return x;
    };
    const q8 = device.alloc(O * I, 'q8_0');
    device.quantize(q8, put(numbers(O * I, 4)), O, I);
    const t: Record<string, Tensor> = {
      x: put(numbers(N * I, 1)), y: put(numbers(N * I, 9)), v: put(numbers(O * I, 2)), w: put(numbers(O * I, 3), 'bf16'), q8, bias: put(numbers(O, 5)),
      // as wide as a weight, so that one can be the other's
      a: put(numbers(O * I, 6)), b: put(numbers(O * I, 7)), c: put(numbers(O * I, 8)), d: put(numbers(O * I, 9)),
    };
    calls(looked ? { ...device, linear: (...all) => (device.linear(...all), device.fill(t.y, 0, 0)) } : device, t);
    return Promise.all(['a', 'b', 'c', 'd', 'x'].map(async (name) => [...((await device.read(t[name])) as Float32Array)]));
  }

  test.each<[string, (d: Device, t: Record<string, Tensor>) => void]>([
    ['of all kinds of weights, more than go together', (d, t) => {
      for (const [out, w] of [['a', 'v'], ['b', 'w'], ['c', 'q8'], ['d', 'v']]) d.linear(t[out], t.x, t[w], t.bias, N, I, O, 0.5, 0);
      d.linear(t.b, t.x, t.v, null, N, I, O, 1, 1);
    }],
    ['one adds to what another wrote', (d, t) => {
      d.linear(t.a, t.x, t.v, null, N, I, O, 1, 0);
      d.linear(t.a, t.x, t.w, t.bias, N, I, O, 2, 1);
    }],
    ['one has for its weight, and another for its bias, what was written just before', (d, t) => {
      d.linear(t.a, t.x, t.v, null, N, I, O, 1, 0);
      d.linear(t.b, t.x, t.a, null, N, I, O, 1, 0);
      d.linear(t.c, t.x, t.v, t.b, N, I, O, 1, 0);
    }],
    ['one writes the weight that another reads', (d, t) => {
      d.linear(t.a, t.x, t.b, null, N, I, O, 1, 0);
      d.linear(t.b, t.x, t.v, null, N, I, O, 1, 0);
    }],
    ['views of one tensor, side by side and over each other', (d, t) => {
      const [low, high] = [d.view(t.a, 0, 192), d.view(t.a, 192, 192)];
      d.linear(low, t.x, t.v, null, N, I, O, 1, 0);
      d.linear(high, t.x, t.w, null, N, I, O, 1, 0);
      d.linear(d.view(t.a, 64, 192), t.x, t.q8, null, N, I, O, 1, 0);
    }],
    ['x changes in between, by a kernel and by a write', (d, t) => {
      d.linear(t.a, t.x, t.v, null, N, I, O, 1, 0);
      d.axpy(t.x, t.y, 0.5, N * I);
      d.linear(t.b, t.x, t.v, null, N, I, O, 1, 0);
      d.write(t.x, numbers(N * I, 40));
      d.linear(t.c, t.x, t.v, null, N, I, O, 1, 0);
    }],
    ['what they read is freed before anybody looks', (d, t) => {
      const gone = d.alloc(O * I);
      d.write(gone, numbers(O * I, 20));
      d.linear(t.a, t.x, gone, null, N, I, O, 1, 0);
      d.free(gone);
      d.fill(d.alloc(O * I), 7, O * I);
    }],
  ])('%s: the same bits as one by one', async (_, calls) => {
    expect(await outputs(calls, false)).toEqual(await outputs(calls, true));
  });
});
