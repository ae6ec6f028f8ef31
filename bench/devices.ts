/**
 * A device that is not the native one under the bench: opened once, with yardsticks that it measures itself, its own fastest product and a sum of long
 * vectors, since nobody tells what a graphics card could do at most. Figures that would take longer than the budget are left out by name. Not what is measured.
 */
import { spawnSync } from 'node:child_process';
import type { Device, Tensor } from '../src/engine/device/device.ts';
import { openDevice } from '../src/engine/device/open.ts';
import { type Bench, createBench, median, type Options, type Report, wallClock } from './measure.ts';

/** Runs a figure has, those that warm it up among them. */
const RUNS = 7;
/** A yardstick's work grows until it takes this long or is as large as a large card deserves; seconds, a cube's edge, numbers. */
const LONG_ENOUGH = 0.03, LARGEST_EDGE = 4096, LONGEST = 2 ** 26;
/** A burst of calls that is timed at once, seconds. */
const BURST = 0.1;

export async function createDeviceBench(options: Options, budget: number, report: Report): Promise<{ bench: Bench; about: Record<string, string | number> }> {
  const device = await openDevice(options.device, options.threads);
  const product = await yardstick(device, 64, LARGEST_EDGE, (n) => n * n, (n, [out, x, w]) => device.linear(out, x, w, null, n, n, n, 1, 0));
  const sum = await yardstick(device, 2 ** 16, LONGEST, (n) => n, (n, [out, x]) => device.axpy(out, x, 1e-6, n));
  const rate = 2 * product.size ** 3 / product.seconds;
  const bench: Bench = {
    ...createBench(options, report),
    clock: wallClock,
    open: () => counted(device),
    settle: product.settle,
    share: 'share_of_product',
    enough: () => BURST * rate,
    async attempt(label, work) {
      try {
        await work();
      } catch (error) {
        console.log(`${label}: left out: ${(error as Error).message}`);
      }
    },
    affords(label, flops) {
      const seconds = RUNS * flops / rate;
      if (seconds > budget) console.log(`${label}: left out: it would take some ${seconds.toPrecision(2)} s here (--budget ${budget})`);
      return seconds <= budget;
    },
    peak: async () => 2 * product.size ** 3 / (await product.again()),
    bandwidth: async () => 12 * sum.size / (await sum.again()), // two numbers read, one written
  };
  return { bench, about: { device: device.description, ...(device.memoryBytes ? { deviceMemory: device.memoryBytes } : {}), ...cards() } };
}

/** Calls on tensors of `length(size)`, as large as takes long enough; `again` gives the seconds of one, `settle` waits for the device. */
async function yardstick(device: Device, least: number, most: number, length: (size: number) => number, call: (size: number, tensors: Tensor[]) => void) {
  let tensors: Tensor[] = [];
  const settle = async (): Promise<void> => void (await device.read(tensors[0], 0, 1));
  const time = async (size: number, calls: number): Promise<number> => {
    const start = wallClock();
    for (let i = 0; i < calls; i++) call(size, tensors);
    await settle();
    return (wallClock() - start) / calls;
  };
  for (let size = least; ; size *= 2) {
    tensors = [0, 1, 2].map(() => device.alloc(length(size)));
    for (const x of tensors) device.fill(x, 0.5, x.length);
    await time(size, 1); // what is compiled is compiled once
    const seconds = await time(size, 1);
    if (seconds > LONG_ENOUGH || 2 * size > most) {
      const calls = Math.max(1, Math.round(BURST / seconds));
      const again = async (): Promise<number> => median([await time(size, calls), await time(size, calls), await time(size, calls)]);
      return { size, seconds: await again(), again, settle };
    }
    for (const x of tensors) device.free(x);
  }
}

/** The same device, its peak of memory counted from now on; what a kernel keeps for itself is not in it. */
function counted(device: Device): Device {
  const before = device.memory().bytes;
  let peakBytes = 0;
  return {
    ...device,
    alloc(length, storage) {
      const x = device.alloc(length, storage);
      peakBytes = Math.max(peakBytes, device.memory().bytes - before);
      return x;
    },
    memory: () => ({ bytes: device.memory().bytes - before, peakBytes }),
  };
}

/** NVIDIA's cards with driver and memory, where their tool is: no other way tells a WebGPU or TensorFlow card's memory. */
function cards(): Record<string, string> {
  const { stdout, status } = spawnSync('nvidia-smi', ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'], { encoding: 'utf8' });
  return status === 0 ? { cards: stdout.trim().replaceAll('\n', '; ') } : {};
}
