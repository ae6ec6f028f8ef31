/**
 * Keys and values of tokens already seen, so that decoding computes only the new ones. One block of rows for all sequences; a sequence
 * owns a range of them, and may continue a prefix that others continue too (a prompt sampled many times is held once).
 * Rows are not moved: a sequence says at its start how long it may become. Memory comes with the tokens where the device can give it so.
 */
import type { Device, Tensor } from '../device/device.ts';
import type { ModelConfig } from './config.ts';

export type CacheSequence = {
  /** First row, and rows owned. */
  readonly start: number;
  readonly capacity: number;
  readonly prefix: CacheSequence | null;
  /** Tokens held, the prefix's not counted. */
  length: number;
  /** Open sequences that continue this one. */
  children: number;
};

export interface KvCache {
  /** One a layer, each (tokens, K, D). */
  readonly layers: readonly { keys: Tensor; values: Tensor }[];
  /** Room for capacityTokens of its own. A prefix stays open, and is not appended to, while sequences continue it. */
  open(capacityTokens: number, prefix?: CacheSequence): CacheSequence;
  close(sequence: CacheSequence): void;
  /** Is there room for all of these at once, opened in this order? */
  fits(capacities: number[]): boolean;
  /** Makes `to` hold what `from` holds beside their prefix, in place of what it held. */
  copy(from: CacheSequence, to: CacheSequence): void;
  /** Tokens for which there is no sequence yet, in all. */
  room(): number;
  free(): void;
}

/** What createKvCache takes: keys and values of every layer in f32, whatever window a layer has. */
export function cacheBytes({ numHiddenLayers, numKeyValueHeads, headDim }: ModelConfig, tokens: number): number {
  return 8 * numHiddenLayers * numKeyValueHeads * headDim * tokens;
}

export function createKvCache(device: Device, config: ModelConfig, tokens: number): KvCache {
  const row = config.numKeyValueHeads * config.headDim;
  const layers = Array.from({ length: config.numHiddenLayers }, () => ({ keys: device.alloc(tokens * row, 'f32', true), values: device.alloc(tokens * row, 'f32', true) }));
  /** Ranges without an owner, in order, never touching each other. */
  const gaps = [{ start: 0, length: tokens }];
  const sequences = new Set<CacheSequence>();
  const room = () => gaps.reduce((sum, gap) => sum + gap.length, 0);

  return {
    layers,
    room,
    fits(capacities) {
      const left = gaps.map(({ length }) => length);
      return capacities.every((capacity) => {
        const gap = left.findIndex((length) => length >= capacity);
        if (gap >= 0) left[gap] -= capacity;
        return gap >= 0;
      });
    },
    open(capacity, prefix) {
      if (prefix?.prefix) throw new Error('kv-cache: a prefix cannot continue another prefix; open it as one sequence');
      if (prefix && !sequences.has(prefix)) throw new Error('kv-cache: the prefix is closed; keep it open while sequences continue it');
      const gap = gaps.find((range) => range.length >= capacity);
      if (!gap) throw new Error(`kv-cache: no room for ${capacity} tokens (${room()} of ${tokens} are free); close sequences or create a larger cache`);
      const sequence = { start: gap.start, capacity, prefix: prefix ?? null, length: 0, children: 0 };
      gap.start += capacity;
      gap.length -= capacity;
      if (gap.length === 0) gaps.splice(gaps.indexOf(gap), 1);
      if (prefix) prefix.children++;
      sequences.add(sequence);
      return sequence;
    },
    close(sequence) {
      if (sequence.children > 0) throw new Error(`kv-cache: ${sequence.children} open sequences continue this prefix; close them first`);
      if (!sequences.delete(sequence)) throw new Error('kv-cache: the sequence is closed already');
      if (sequence.prefix) sequence.prefix.children--;
      if (sequence.capacity === 0) return;
      for (const { keys, values } of layers) for (const x of [keys, values]) device.forget?.(x, sequence.start * row, sequence.capacity * row);
      let at = gaps.findIndex((gap) => gap.start > sequence.start);
      if (at < 0) at = gaps.length;
      gaps.splice(at, 0, { start: sequence.start, length: sequence.capacity });
      for (const left of [at, at - 1]) {
        const [a, b] = [gaps[left], gaps[left + 1]];
        if (!a || !b || a.start + a.length !== b.start) continue;
        a.length += b.length;
        gaps.splice(left + 1, 1);
      }
    },
    copy(from, to) {
      if (from.prefix !== to.prefix) throw new Error('kv-cache: the sequences continue different prefixes; copy between those of one');
      if (to.capacity < from.length) throw new Error(`kv-cache: ${from.length} tokens do not fit a sequence of ${to.capacity}; open it larger`);
      for (const { keys, values } of layers) {
        device.copy(keys, to.start * row, keys, from.start * row, from.length * row);
        device.copy(values, to.start * row, values, from.start * row, from.length * row);
      }
      to.length = from.length;
    },
    free() {
      for (const { keys, values } of layers) {
        device.free(keys);
        device.free(values);
      }
    },
  };
}
