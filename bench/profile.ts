/**
 * Where a training step's time goes, kernel by kernel: node bench/profile.ts METHOD SIZE [threads] [--clock]
 * Wraps the device so that each call's time is charged to its name; what is left is TypeScript. Processor seconds over threads unless --clock.
 */
import { createNativeDevice } from '../src/engine/device/native.ts';
import type { Device } from '../src/engine/device/device.ts';
import { sizes } from './configs.ts';
import { createBench } from './measure.ts';
import { createTrainer, type Method, stepFlops } from './trainer.ts';

const [method = 'sft', size = 'S', threads = '1'] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const { clock, peak } = createBench({ threads: Number(threads), cpu: !process.argv.includes('--clock'), toy: false, device: 'native' }, () => {});
const spent = new Map<string, { seconds: number; calls: number; flops: number }>();
const inner = createNativeDevice(Number(threads));
const flopsOf: Record<string, (a: number[]) => number> = {
  linear: (a) => 2 * a[0] * a[1] * a[2], linearBackwardInput: (a) => 2 * a[0] * a[1] * a[2], linearBackwardWeight: (a) => 2 * a[0] * a[1] * a[2],
  logprob: (a) => 2 * a[0] * a[1] * a[2], logprobBackward: (a) => 4 * a[0] * a[1] * a[2],
};
const device = new Proxy(inner, {
  get(target, name: string) {
    const f = target[name as keyof Device];
    if (typeof f !== 'function') return f;
    return (...args: unknown[]) => {
      const start = clock();
      const result = (f as (...a: unknown[]) => unknown)(...args);
      const entry = spent.get(name) ?? { seconds: 0, calls: 0, flops: 0 };
      entry.seconds += clock() - start;
      entry.calls++;
      entry.flops += flopsOf[name]?.(args.filter((a) => typeof a === 'number')) ?? 0;
      spent.set(name, entry);
      return result;
    };
  },
});
const trainer = await createTrainer(device, method as Method, sizes[size]);
for (let i = 0; i < 2; i++) await trainer.step();
spent.clear();
const steps = size === 'M' ? 3 : 8;
const before = await peak();
const start = clock();
for (let i = 0; i < steps; i++) await trainer.step();
const total = (clock() - start) / steps;
const best = (before + (await peak())) / 2;
let named = 0;
for (const [name, { seconds, calls, flops }] of [...spent].sort((a, b) => b[1].seconds - a[1].seconds)) {
  named += seconds / steps;
  const share = flops ? `${((100 * flops) / seconds / best).toFixed(0)} % of peak` : '';
  console.log(`${name.padEnd(26)} ${((1e3 * seconds) / steps).toFixed(1).padStart(8)} ms ${((100 * seconds) / steps / total).toFixed(1).padStart(6)} %  ×${calls / steps} ${share}`);
}
console.log(`${'TypeScript'.padEnd(26)} ${(1e3 * (total - named)).toFixed(1).padStart(8)} ms`);
const flops = stepFlops(method as Method, sizes[size]);
console.log(`${method} ${size}: ${(1e3 * total).toFixed(0)} ms a step, ${(sizes[size].T * sizes[size].B / total).toFixed(0)} tokens/s, ${((100 * flops) / total / best).toFixed(1)} % of peak (${(best / 1e9).toFixed(0)} GFLOP/s); tensors ${(device.memory().peakBytes / 1e6).toFixed(0)} MB`);
