/**
 * The native CPU device: device.ts's kernels in C++ (native/), loaded from build/native/attune.node.
 * Each call runs to its end before it returns, on the addon's own threads; shapes and storages are checked in the addon.
 * Same inputs give the same bits at any number of threads (not across instruction sets: their sums run in other widths).
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BUILT } from './built.ts';
import { bytesToKeep, isBlockStorage } from '../formats/weight-blocks.ts';
import type { Device, HostArray, Storage, Tensor } from './device.ts';

type Handle = { readonly native: unique symbol };
type NativeTensor = Tensor & { readonly handle: Handle };

/** Kernels take the device's handle, then device.ts's arguments with handles for tensors. */
type Kernel = (device: Handle, ...args: unknown[]) => void;
export type Addon = Record<Exclude<keyof Device, 'name' | 'description' | 'alloc' | 'adopt' | 'view' | 'memory' | 'read'>, Kernel> & {
  simd: 'avx512' | 'avx2' | 'neon' | 'portable';
  open(threads: number): Handle;
  alloc(device: Handle, length: number, storage: number): Handle;
  /** Null where the file cannot be mapped. */
  map(fd: number): Handle | null;
  unmap(mapping: Handle): void;
  adopt(device: Handle, mapping: unknown, begin: number, length: number, storage: number): Handle;
  view(device: Handle, x: Handle, offset: number, length: number, storage: number): Handle;
  memory(device: Handle): { bytes: number; peakBytes: number };
  read(device: Handle, x: Handle, into: HostArray, offset: number): void;
  fmaBurst(device: Handle, rounds: number): number;
  readBurst: Kernel;
};

const addonPath = join(BUILT, 'attune.node');
const storages: Storage[] = ['f32', 'bf16', 'i32', 'q8_0', 'int8', 'q4_0', 'nf4'];
const simdNames = { avx512: 'AVX-512', avx2: 'AVX2', neon: 'NEON', portable: 'portable' };

/** Throws a sentence where the kernels are not built. */
export function loadAddon(): Addon {
  try {
    return createRequire(import.meta.url)(addonPath) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Error(`native device: the kernels could not be loaded (${reason}); run npm run setup`, { cause: error });
  }
}

/** A foreign tensor has no handle: the addon then names the argument it came as. */
const h = (x: Tensor): Handle => (x as NativeTensor).handle;
const maybe = (x: Tensor | null): Handle | null => (x === null ? null : h(x));

/** From here on the machine is asked whether it still has so much, bytes. */
const LARGE = 64 * 1024 * 1024;

/**
 * Linux lends more than it has, and when that is used it kills whom it likes: what is surely too much is refused while it is not used yet, so that a
 * run ends cleanly. macOS swaps, Windows does not lend.
 */
function isTooMuch(bytes: number): boolean {
  return process.platform === 'linux' && bytes >= LARGE && bytes > process.availableMemory();
}

/** threads: 0 = all cores. */
export function createNativeDevice(threads: number): Device {
  if (!Number.isInteger(threads) || threads < 0 || threads > 1024) {
    throw new Error(`native device: threads is ${threads}; give 0 (all cores) or a number of threads up to 1024`);
  }
  const addon = loadAddon();
  const count = threads === 0 ? availableParallelism() : threads;
  const device = addon.open(count);
  return {
    name: 'native',
    description: `native, ${simdNames[addon.simd]}, ${count} thread${count === 1 ? '' : 's'}`,

    alloc(length, storage = 'f32') {
      const inUse = addon.memory(device).bytes;
      const handle = addon.alloc(device, length, storages.indexOf(storage));
      const bytes = addon.memory(device).bytes - inUse;
      if (isTooMuch(bytes)) {
        addon.free(device, handle);
        throw new Error(`native device: out of memory, ${bytes} bytes asked for with ${inUse} in use and ${process.availableMemory()} free on this machine.`);
      }
      return { storage, length, handle } as NativeTensor;
    },
    free: (x) => addon.free(device, h(x)),
    adopt: ({ mapping, begin, storage }, length) =>
      ({ storage, length, handle: addon.adopt(device, mapping, begin, length, storages.indexOf(storage)) }) as NativeTensor,
    view: (x, offset, length, storage = 'f32') => ({ storage, length, handle: addon.view(device, h(x), offset, length, storages.indexOf(storage)) }) as NativeTensor,
    memory: () => addon.memory(device),
    write: (x, data, offset = 0) => addon.write(device, h(x), isBlockStorage(x.storage) ? bytesToKeep(x.storage, x.length, data, offset) : data, offset),
    async read(x, offset = 0, length = x.length - offset) {
      const into = x.storage === 'f32' ? new Float32Array(length) : x.storage === 'i32' ? new Int32Array(length) : new Uint16Array(length);
      addon.read(device, h(x), into, offset);
      return into;
    },

    fill: (x, value, n) => addon.fill(device, h(x), value, n),
    copy: (out, outOffset, x, xOffset, n) => addon.copy(device, h(out), outOffset, h(x), xOffset, n),
    axpy: (out, x, alpha, n) => addon.axpy(device, h(out), h(x), alpha, n),
    sumSquares: (out, outIndex, x, n) => addon.sumSquares(device, h(out), outIndex, h(x), n),
    dropout: (out, x, n, p, seed) => addon.dropout(device, h(out), h(x), n, p, seed),

    gatherRows: (out, table, index, N, C) => addon.gatherRows(device, h(out), h(table), h(index), N, C),
    scatterAddRows: (table, rows, index, N, C) => addon.scatterAddRows(device, h(table), h(rows), h(index), N, C),

    quantize: (w, x, O, I) => addon.quantize(device, h(w), h(x), O, I),
    linear: (out, x, w, bias, N, I, O, alpha, beta, group) =>
      addon.linear(device, h(out), h(x), h(w), maybe(bias), N, I, O, alpha, beta, maybe(group?.bounds ?? null), group?.at),
    linearBackwardInput: (dx, dout, w, N, I, O, alpha, beta, group) =>
      addon.linearBackwardInput(device, h(dx), h(dout), h(w), N, I, O, alpha, beta, maybe(group?.bounds ?? null), group?.at),
    linearBackwardWeight: (dw, dout, x, N, I, O, alpha, beta, group) =>
      addon.linearBackwardWeight(device, h(dw), h(dout), h(x), N, I, O, alpha, beta, maybe(group?.bounds ?? null), group?.at),
    linearBackwardBias: (dbias, dout, N, O) => addon.linearBackwardBias(device, h(dbias), h(dout), N, O),

    rmsNorm: (out, rstd, x, weight, N, C, eps) => addon.rmsNorm(device, h(out), h(rstd), h(x), h(weight), N, C, eps),
    rmsNormBackward: (dx, dweight, dout, x, weight, rstd, N, C) =>
      addon.rmsNormBackward(device, h(dx), maybe(dweight), h(dout), h(x), h(weight), h(rstd), N, C),
    rope: (x, cosSin, positions, N, H, D, R, direction) => addon.rope(device, h(x), h(cosSin), h(positions), N, H, D, R, direction),
    attention: (out, lse, q, k, v, segments, S, H, K, D, scale) =>
      addon.attention(device, h(out), h(lse), h(q), h(k), h(v), h(segments), S, H, K, D, scale),
    attentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale) =>
      addon.attentionBackward(device, h(dq), h(dk), h(dv), h(dout), h(out), h(lse), h(q), h(k), h(v), h(segments), S, H, K, D, scale),
    gatedActivation: (out, gate, up, n, activation) => addon.gatedActivation(device, h(out), h(gate), h(up), n, activation),
    gatedActivationBackward: (dgate, dup, dout, gate, up, n, activation) =>
      addon.gatedActivationBackward(device, h(dgate), h(dup), h(dout), h(gate), h(up), n, activation),
    logprob: (logprobs, lse, entropy, best, kept, x, w, targets, M, C, V) =>
      addon.logprob(device, h(logprobs), h(lse), maybe(entropy), maybe(best), maybe(kept), h(x), h(w), h(targets), M, C, V),
    logprobBackward: (dx, dw, kept, dlogprobs, x, w, targets, lse, M, C, V, beta) =>
      addon.logprobBackward(device, h(dx), maybe(dw), maybe(kept), h(dlogprobs), h(x), h(w), h(targets), h(lse), M, C, V, beta),

    layerNorm: (out, mean, rstd, x, weight, bias, N, C, eps) => addon.layerNorm(device, h(out), h(mean), h(rstd), h(x), h(weight), h(bias), N, C, eps),
    layerNormBackward: (dx, dweight, dbias, dout, x, weight, mean, rstd, N, C) =>
      addon.layerNormBackward(device, h(dx), maybe(dweight), maybe(dbias), h(dout), h(x), h(weight), h(mean), h(rstd), N, C),
    activation: (out, x, n, activation) => addon.activation(device, h(out), h(x), n, activation),
    activationBackward: (dx, dout, x, n, activation) => addon.activationBackward(device, h(dx), h(dout), h(x), n, activation),
    copyColumns: (out, outOffset, outStride, x, xOffset, xStride, rows, width, add) =>
      addon.copyColumns(device, h(out), outOffset, outStride, h(x), xOffset, xStride, rows, width, add),
    localAttention: (out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      addon.localAttention(device, h(out), h(lse), h(q), h(k), h(v), h(segments), S, H, K, D, scale, window, cap),
    localAttentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      addon.localAttentionBackward(device, h(dq), h(dk), h(dv), h(dout), h(out), h(lse), h(q), h(k), h(v), h(segments), S, H, K, D, scale, window, cap),
    cappedLogprob: (logprobs, lse, entropy, best, logits, targets, M, V, cap) =>
      addon.cappedLogprob(device, h(logprobs), h(lse), maybe(entropy), maybe(best), h(logits), h(targets), M, V, cap),
    cappedLogprobBackward: (logits, dlogprobs, targets, lse, M, V, cap) =>
      addon.cappedLogprobBackward(device, h(logits), h(dlogprobs), h(targets), h(lse), M, V, cap),

    route: (probs, weights, chosen, slots, rows, bounds, load, logits, N, E, K, normalise) =>
      addon.route(device, h(probs), h(weights), h(chosen), h(slots), h(rows), h(bounds), maybe(load), h(logits), N, E, K, normalise),
    routeBackward: (dlogits, dweights, dprobs, probs, weights, chosen, N, E, K, normalise) =>
      addon.routeBackward(device, h(dlogits), h(dweights), maybe(dprobs), h(probs), h(weights), h(chosen), N, E, K, normalise),
    combineRows: (out, y, weights, slots, N, K, C) => addon.combineRows(device, h(out), h(y), h(weights), h(slots), N, K, C),
    combineRowsBackward: (dy, dweights, dout, y, weights, slots, N, K, C) =>
      addon.combineRowsBackward(device, h(dy), maybe(dweights), h(dout), h(y), h(weights), h(slots), N, K, C),

    adamw: (w, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale) =>
      addon.adamw(device, h(w), h(grad), h(m), h(v), n, lr, beta1, beta2, eps, weightDecay, step, gradScale),
  };
}

/** For bench/: what this processor does at best, on all `threads`. Both run to their end; the caller takes the time. */
export function createBursts(threads: number): { fma(rounds: number): number; read(floats: number): number } {
  const addon = loadAddon();
  const device = addon.open(threads);
  const out = addon.alloc(device, 1, 0);
  let block: { handle: Handle; length: number } | null = null;
  return {
    /** Fused multiply-adds on registers only; returns the floating point operations. */
    fma: (rounds) => addon.fmaBurst(device, rounds),
    /** Reads a block of `floats` once; returns the bytes. */
    read(floats) {
      if (block?.length !== floats) {
        if (block) addon.free(device, block.handle);
        block = { handle: addon.alloc(device, floats, 0), length: floats };
        addon.fill(device, block.handle, 1, floats);
      }
      addon.readBurst(device, out, block.handle, floats);
      return 4 * floats;
    },
  };
}
