/**
 * Matrix products: cubes, and the shapes training at S and M is made of, forward and both gradients. Shares are of the FMA peak measured around each (of f32:
 * products of bytes may pass it). A device that is not the native one has larger and smaller cubes and Llama-3.2-1B's shapes besides, as its budget allows.
 */
import type { Device, Storage, Tensor } from '../src/engine/device/device.ts';
import { deviceSizes, sizes, storageKinds } from './configs.ts';
import { type Bench, timedCalls } from './measure.ts';

export function vector(device: Device, length: number, storage: Storage = 'f32', scale = 1): Tensor {
  const x = device.alloc(length, storage);
  const values = new Float32Array(length);
  for (let i = 0, s = length; i < length; i++) values[i] = (((s = (Math.imul(s, 1664525) + 1013904223) | 0) >> 8) / 2 ** 23) * scale;
  if (storage === 'q8_0') {
    const exact = device.alloc(length);
    device.write(exact, values);
    device.quantize(x, exact, length / 32, 32); // blocks of 32 know no rows
    device.free(exact);
  } else {
    device.write(x, values);
  }
  return x;
}

export async function benchGemm(bench: Bench, only: string): Promise<void> {
  const device = bench.open();
  const native = bench.options.device === 'native';
  const cube = ['forward'] as const;
  const products: { name: string; N: number; I: number; O: number; storage: Storage; kinds: readonly ('forward' | 'dx' | 'dw')[] }[] = [];
  for (const storage of storageKinds) {
    for (const n of native ? [256, 512, 1024, 2048] : [64, 256, 512, 1024, 2048, 4096, 8192]) {
      const edge = bench.options.toy ? 32 : n;
      products.push({ name: `${storage}.${n}`, N: edge, I: edge, O: edge, storage, kinds: cube });
    }
    for (const [size, { C, H, K, F, T, B, frozen }] of Object.entries(native ? { S: sizes.S, M: sizes.M } : deviceSizes)) {
      if (frozen && storage !== frozen) continue;
      // a weight's gradient is f32 whatever the weight is kept as; q8_0 is read forward only
      const kinds = ({ f32: ['forward', 'dx', 'dw'], bf16: ['forward', 'dx'], q8_0: ['forward'] } as const)[storage];
      for (const [what, I, O] of [['qo', C, C], ['kv', C, (C / H) * K], ['gate_up', C, F], ['down', F, C]] as const)
        products.push({ name: `${storage}.${size}_${what}`, N: T * B, I, O, storage, kinds });
    }
  }
  for (const { name, N, I, O, storage, kinds } of products) {
    for (const kind of kinds) {
      const label = `gemm.${name}${kinds === cube ? '' : `_${kind}`}`;
      const flops = 2 * N * I * O;
      if (!label.includes(only) || !bench.affords(label, flops)) continue;
      await bench.attempt(label, async () => {
        const [x, y] = [vector(device, N * I), vector(device, N * O)];
        const [w, dw] = [vector(device, O * I, storage), vector(device, O * I)];
        const run = {
          forward: () => device.linear(y, x, w, null, N, I, O, 1, 0),
          dx: () => device.linearBackwardInput(x, y, w, N, I, O, 1e-3, 0),
          dw: () => device.linearBackwardWeight(dw, y, x, N, I, O, 1e-3, 0),
        }[kind];
        const { seconds, possible } = await timedCalls(bench, run, flops, 1e10);
        bench.report(`${label}.gflops`, flops / seconds / 1e9, 'GFLOP/s');
        bench.report(`${label}.${bench.share}`, flops / possible, '');
        for (const t of [x, y, w, dw]) device.free(t);
      });
    }
  }
}
