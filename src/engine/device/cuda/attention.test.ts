/** Attention of few queries over many keys on the CUDA device, emulated: keys split over blocks and joined, which conformance.test.ts sees without a window. */
import { expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../../scripts/build-cuda.mjs';
import { createNormal } from '../conformance-cases.ts';
import { createReferenceDevice } from '../reference.ts';
import type { Device } from '../device.ts';
import { createCudaDevice } from './cuda.ts';

const driver = (await buildEmulatedDriver()).path;
const [H, K, D, KEYS] = [4, 2, 16, 900];
const normal = createNormal(20261122);
const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => normal());
const [q, k, v] = [random(3 * H * D), random(KEYS * K * D), random(KEYS * K * D)];

/** Of three tokens at the end of a text of 700 behind a prefix of 150. */
async function attended(device: Device, window: number, cap: number): Promise<{ out: Float32Array; lse: Float32Array }> {
  const put = (data: Float32Array | Int32Array) => {
    const x = device.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32');
    device.write(x, data);
    return x;
  };
  const [out, lse, segments] = [device.alloc(q.length), device.alloc(3 * H), put(Int32Array.of(0, 3, 740, 150, 20, 700))];
  device.localAttention(out, lse, put(q), put(k), put(v), segments, 1, H, K, D, 0.5, window, cap);
  return { out: (await device.read(out)) as Float32Array, lse: (await device.read(lse)) as Float32Array };
}

test.each([[0, 0], [301, 0], [2, 0], [500, 3]])('keys that several blocks share, seen through a window of %i and a cap of %i, come to what they come to at once, and to the same bits twice', async (window, cap) => {
  for (const [name, tolerance] of [['cuda', 2e-5], ['cuda-bf16', 3e-2]] as const) {
    const [got, again, want] = [await attended(createCudaDevice(name, driver), window, cap), await attended(createCudaDevice(name, driver), window, cap), await attended(createReferenceDevice(), window, cap)];
    expect(again).toEqual(got);
    for (const what of ['out', 'lse'] as const) {
      for (const [i, value] of want[what].entries()) expect(Math.abs(got[what][i] - value), `${name}: ${what}[${i}]`).toBeLessThan(tolerance * (what === 'lse' ? 5 : 1));
    }
  }
});

test('where there are queries enough for the card, or too few keys, nothing is split', () => {
  const device = createCudaDevice('cuda', driver, undefined, 1); // every launch is two driver calls
  const launches = (S: number, keys: number): number => {
    const [x, kv, segments] = [device.alloc(S * 8), device.alloc(keys * 8), device.alloc(6 * S, 'i32')];
    device.attention(x, x, x, kv, kv, segments, S, 1, 1, 8, 1);
    const before = device.driverCalls();
    device.attention(x, x, x, kv, kv, segments, S, 1, 1, 8, 1);
    return (device.driverCalls() - before) / 2;
  };
  expect([launches(1, 128), launches(1, 129), launches(4, 900), launches(5, 900)]).toEqual([1, 2, 2, 1]); // of 4 multiprocessors
});
