/**
 * Where activations live: one free list per row width, and every buffer holds `rows` rows, the most any step has needed so far.
 * So a step takes back exactly what the step before gave back, and after the first largest step the device allocates nothing.
 * It holds no parameters, gradients of parameters, optimiser states or caches: those have one owner each.
 */
import type { Device, Storage, Tensor } from '../device/device.ts';

export interface Pool {
  readonly device: Device;
  /** Makes every buffer taken from now on hold at least this many rows. Call before a forward. */
  reserve(rows: number): void;
  /** A buffer of (rows, width), or of `most` elements where that is less, with whatever was in it before. */
  take(width: number, storage?: Storage, most?: number): Tensor;
  give(buffer: Tensor): void;
  /** Buffers taken and not given back: 0 between steps, or something leaks. */
  inUse(): number;
  /** Frees the buffers that lie in the lists. */
  clear(): void;
}

export function createPool(device: Device): Pool {
  const free = new Map<string, Tensor[]>();
  const taken = new Map<Tensor, { key: string; width: number; most: number }>();
  let rows = 0;

  function clear() {
    for (const list of free.values()) for (const buffer of list) device.free(buffer);
    free.clear();
  }

  return {
    device,
    reserve(needed) {
      if (needed <= rows) return;
      // Grow by eighths of a power of two: batches that grow by a token at a time do not each empty the pool.
      const unit = Math.max(8, 2 ** (Math.ceil(Math.log2(needed)) - 3));
      rows = Math.ceil(needed / unit) * unit;
      clear();
    },
    take(width, storage = 'f32', most = Infinity) {
      const key = `${storage} ${width} ${most}`;
      const buffer = free.get(key)?.pop() ?? device.alloc(Math.min(most, rows * width), storage);
      taken.set(buffer, { key, width, most });
      return buffer;
    },
    give(buffer) {
      const entry = taken.get(buffer);
      if (!entry) throw new Error('pool: a buffer was given back twice, or never taken; an op releases what it does not own');
      taken.delete(buffer);
      if (buffer.length < Math.min(entry.most, rows * entry.width)) return device.free(buffer); // from before the pool grew
      const list = free.get(entry.key);
      if (list) list.push(buffer);
      else free.set(entry.key, [buffer]);
    },
    inUse: () => taken.size,
    clear,
  };
}
