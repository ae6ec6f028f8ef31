/**
 * What only the native device has: its border, its memory and its choice of instruction set. Kernels are tested by conformance.test.ts.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
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
