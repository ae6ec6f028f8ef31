/**
 * Memory that can be written, on TensorFlow.js, whose tensors never change: a block is a row of windows onto such tensors, and writing replaces
 * the windows it covers. Nothing is copied to cut one: a window knows where in its tensor it begins. What was never written is a window onto nothing and reads as 0.
 *
 * bf16, q8_0 and blocks are held as the float32 numbers they mean, so they save no memory here. Bytes are those the engine asked for; what a backend
 * keeps besides (intermediate results, copies) it does not say.
 */
import type { Tensor1D } from '@tensorflow/tfjs-core';
import { fromBf16, toBf16 } from '../../formats/float.ts';
import { bytesToKeep, isBlockStorage, weightBlocks } from '../../formats/weight-blocks.ts';
import type { HostArray, Storage, Tensor } from '../device.ts';
import type { TensorFlow } from './backends.ts';

/** An immutable tensor, and how many windows are left onto it. */
type Held = { tensor: Tensor1D; windows: number };
/** Elements [start, start + length) of a block: those of `held` from `from` on. */
type Window = { start: number; length: number; held: Held | null; from: number };
type Block = { windows: Window[]; bytes: number; freed: boolean };
/** Elements of a block from `base` on. */
type BlockTensor = Tensor & { readonly block: Block; readonly base: number };

const BYTES: Record<Storage, number> = { f32: 4, bf16: 4, i32: 4, q8_0: 4, int8: 4, q4_0: 4, nf4: 4 };

export type Memory = ReturnType<typeof createMemory>;

/** `limit`: bytes the device has; more is refused before it is tried. */
export function createMemory(tf: TensorFlow, name: string, limit: number) {
  let bytes = 0;
  let peakBytes = 0;

  function own(x: Tensor): BlockTensor {
    const tensor = x as BlockTensor;
    if (tensor.block.freed) throw new Error(`${name}: a freed ${x.storage} tensor of ${x.length} elements was used.`);
    return tensor;
  }

  function drop({ held }: Window): void {
    if (held && --held.windows === 0) held.tensor.dispose();
  }

  /** Makes an edge between windows at `at`, and says which window begins there. */
  function cut(windows: Window[], at: number): number {
    let low = 0;
    for (let high = windows.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (windows[middle].start < at) low = middle + 1;
      else high = middle;
    }
    const before = windows[low - 1];
    if (!before || before.start + before.length <= at) return low;
    const rest = { start: at, length: before.start + before.length - at, held: before.held, from: before.from + at - before.start };
    before.length = at - before.start;
    if (rest.held) rest.held.windows++;
    windows.splice(low, 0, rest);
    return low;
  }

  /** The windows of [start, start + length) become one, onto `tensor`, which is kept. */
  function replace({ windows }: Block, start: number, length: number, tensor: Tensor1D): void {
    const first = cut(windows, start);
    const end = cut(windows, start + length);
    // reshape makes a tensor of its own on the same data: what was given may be an input, or end with its tidy
    const held = { tensor: tf.keep(tf.reshape(tensor, [length]) as Tensor1D), windows: 1 };
    for (const window of windows.splice(first, end - first, { start, length, held, from: 0 })) drop(window);
  }

  function piece({ held, from, length }: Window): Tensor1D {
    if (!held) return tf.zeros([length]);
    return from === 0 && held.tensor.size === length ? held.tensor : tf.slice(held.tensor, from, length);
  }

  /** Elements [offset, offset + n) as one tensor, to be used within a tidy. Several windows become one: what is read once is read again. */
  function get(x: Tensor, offset: number, n: number, dtype: 'float32' | 'int32' = 'float32'): Tensor1D {
    const { block, base } = own(x);
    if (n === 0) return tf.tensor1d([], dtype);
    const { windows } = block;
    const start = base + offset;
    const first = cut(windows, start);
    const end = cut(windows, start + n);
    // a pool hands on memory with whatever was in it, ids among reals: the number is as good as any
    const pieces = windows.slice(first, end).map((window) => tf.cast(piece(window), dtype));
    if (pieces.length === 1) return pieces[0];
    const whole = tf.concat1d(pieces);
    replace(block, start, n, whole);
    return whole;
  }

  return {
    get,

    /** Elements [offset, offset + tensor.size) become those of `tensor`, whatever its shape. */
    set(x: Tensor, offset: number, tensor: { size: number }): void {
      const { block, base } = own(x);
      replace(block, base + offset, tensor.size, tensor as Tensor1D);
    },

    alloc(length: number, storage: Storage): Tensor {
      const asked = length * BYTES[storage];
      if (bytes + asked > limit) throw new Error(`${name}: out of memory, ${asked} bytes asked for with ${bytes} of ${limit} in use.`);
      bytes += asked;
      peakBytes = Math.max(peakBytes, bytes);
      const block: Block = { windows: length === 0 ? [] : [{ start: 0, length, held: null, from: 0 }], bytes: asked, freed: false };
      return { storage, length, block, base: 0 } as BlockTensor;
    },

    free(x: Tensor): void {
      const { block } = own(x);
      for (const window of block.windows) drop(window);
      block.windows = [];
      block.freed = true;
      bytes -= block.bytes;
    },

    view(x: Tensor, offset: number, length: number, storage: Storage): Tensor {
      const { block, base } = own(x);
      if (offset + length > x.length) throw new Error(`view: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      return { storage, length, block, base: base + offset } as BlockTensor;
    },

    usage: () => ({ bytes, peakBytes }),

    write(x: Tensor, data: HostArray, offset: number): void {
      const { storage } = own(x);
      if (isBlockStorage(storage)) {
        const numbers = weightBlocks(storage).dequantize(bytesToKeep(storage, x.length, data, offset), x.length);
        if (x.length > 0) tf.tidy(() => replace((x as BlockTensor).block, (x as BlockTensor).base, x.length, tf.tensor1d(numbers)));
        return;
      }
      const fits = storage === 'i32' ? data instanceof Int32Array : storage === 'f32' ? data instanceof Float32Array : storage === 'bf16' && (data instanceof Float32Array || data instanceof Uint16Array);
      if (!fits) throw new Error(`write: ${data.constructor.name} does not fit a tensor of ${storage}.`);
      if (offset < 0 || offset + data.length > x.length) throw new Error(`write: ${data.length} elements at ${offset} do not fit a tensor of ${x.length}.`);
      if (data.length === 0) return;
      // a backend may keep the array it is given
      const values = storage === 'bf16' ? fromBf16(data instanceof Float32Array ? toBf16(data) : (data as Uint16Array)) : (data.slice() as Float32Array | Int32Array);
      tf.tidy(() => {
        const tensor = tf.tensor1d(values, storage === 'i32' ? 'int32' : 'float32');
        replace((x as BlockTensor).block, (x as BlockTensor).base + offset, data.length, tensor);
      });
    },

    async read(x: Tensor, offset: number, length: number): Promise<HostArray> {
      const { storage } = own(x);
      if (storage === 'q8_0' || isBlockStorage(storage)) throw new Error(`read: a tensor is ${storage} where f32 or bf16 or i32 is needed.`);
      if (offset < 0 || length < 0 || offset + length > x.length) throw new Error(`read: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      if (length === 0) return storage === 'f32' ? new Float32Array() : storage === 'i32' ? new Int32Array() : new Uint16Array();
      const snapshot = tf.tidy(() => tf.clone(get(x, offset, length, storage === 'i32' ? 'int32' : 'float32')));
      const values = (await snapshot.data()) as Float32Array | Int32Array;
      const copy = values.slice();
      snapshot.dispose();
      return storage === 'bf16' ? toBf16(copy as Float32Array) : copy;
    },

    /** The same at once, for the tables a kernel must look into on the host. */
    ids: (x: Tensor, n: number): Int32Array => tf.tidy(() => get(x, 0, n, 'int32').dataSync() as Int32Array),
    reals: (x: Tensor, n: number): Float32Array => tf.tidy(() => get(x, 0, n).dataSync() as Float32Array),
  };
}
