/** Tensors in GPU buffers: one buffer a tensor, views into it, and their values in and out. */
import { toBf16 } from '../../formats/float.ts';
import { Q8_0_BLOCK } from '../../formats/q8-0.ts';
import { bytesToKeep, isBlockStorage } from '../../formats/weight-blocks.ts';
import { BLOCK_NUMBERS, type HostArray, type Storage, type Tensor } from '../device.ts';
import { packBlocks, packedBytes } from './blocks.ts';
import type { Gpu, Part } from './gpu.ts';
import { elementwise } from './kernel.ts';

type Block = { part: Part; freed: boolean };
type GpuTensor = Tensor & { readonly block: Block; readonly part: Part };

export type Memory = ReturnType<typeof createMemory>;

/** Bytes a tensor takes: an f32 scale before a block of q8_0's bytes, whole words of bf16. */
export function bytesOf(length: number, storage: Storage): number {
  if (storage === 'q8_0') return (length / Q8_0_BLOCK) * (4 + Q8_0_BLOCK);
  if (isBlockStorage(storage)) return packedBytes(storage, length);
  return storage === 'bf16' ? 4 * Math.ceil(length / 2) : 4 * length;
}

/** One bf16 at an odd place of a buffer of words. */
const PUT_HALF = elementwise({
  name: 'put_half', buffers: { x: 'u32' }, numbers: { at: 'u32', bits: 'u32' },
  main: 'let shift = 16u * (P.at & 1u); x[P.at >> 1u] = (x[P.at >> 1u] & ~(0xffffu << shift)) | (P.bits << shift);',
});

export function createMemory(gpu: Gpu) {
  let bytes = 0;
  let peakBytes = 0;
  const scratch = new Map<string, Tensor>();

  function own(x: Tensor): GpuTensor {
    const tensor = x as GpuTensor;
    if (tensor.block.freed) throw new Error(`webgpu: a freed ${x.storage} tensor of ${x.length} elements was used.`);
    return tensor;
  }

  function alloc(length: number, storage: Storage): Tensor {
    if (storage === 'q8_0' && length % Q8_0_BLOCK !== 0) throw new Error(`alloc: q8_0 comes in blocks of ${Q8_0_BLOCK}, got ${length} elements.`);
    if (isBlockStorage(storage) && length % BLOCK_NUMBERS[storage] !== 0) throw new Error(`alloc: ${storage} comes in blocks of ${BLOCK_NUMBERS[storage]}, got ${length} elements.`);
    const asked = bytesOf(length, storage);
    if (asked > gpu.maxBufferSize) {
      throw new Error(`webgpu: out of memory, ${asked} bytes asked for at once, and this graphics card has buffers of at most ${gpu.maxBufferSize}; a smaller batch, checkpointing or a smaller model fits.`);
    }
    const part = gpu.createBuffer(Math.max(4, asked), `out of memory, ${asked} bytes asked for with ${bytes} in use; a smaller batch, checkpointing, LoRA or a smaller model fits`);
    bytes += asked;
    peakBytes = Math.max(peakBytes, bytes);
    return { storage, length, part, block: { part, freed: false } } as GpuTensor;
  }

  function free(x: Tensor): void {
    const { block, length, storage } = own(x);
    block.freed = true;
    bytes -= bytesOf(length, storage);
    gpu.destroyBuffer(block.part);
  }

  return {
    alloc,
    free,
    usage: () => ({ bytes, peakBytes }),

    /** The memory behind a tensor of one of the storages asked for, else a sentence. */
    part(x: Tensor, ...allowed: Storage[]): Part {
      const { part } = own(x);
      if (!allowed.includes(x.storage)) throw new Error(`webgpu: a tensor is ${x.storage} where ${allowed.join(' or ')} is needed.`);
      return part;
    },

    /** f32 that a kernel needs while it runs: of each name one block, as large as the largest asked for. */
    scratch(name: string, length: number): Part {
      const held = scratch.get(name);
      if (held && held.length >= length) return own(held).part;
      if (held) free(held);
      const made = alloc(length, 'f32');
      scratch.set(name, made);
      return own(made).part;
    },

    view(x: Tensor, offset: number, length: number, storage: Storage): Tensor {
      const { block, part } = own(x);
      if (offset + length > x.length) throw new Error(`view: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      return { storage, length, block, part: { ...part, offset: part.offset + 4 * offset, size: Math.max(4, 4 * length) } } as GpuTensor;
    },

    write(x: Tensor, data: HostArray, offset: number): void {
      const { part, storage } = own(x);
      if (isBlockStorage(storage)) {
        const packed = packBlocks(storage, bytesToKeep(storage, x.length, data, offset), x.length);
        if (packed.length > 0) gpu.write(part, 0, packed);
        return;
      }
      const values = storage === 'bf16' && data instanceof Float32Array ? toBf16(data) : data;
      const fits = storage === 'i32' ? values instanceof Int32Array : storage === 'f32' ? values instanceof Float32Array : storage === 'bf16' && values instanceof Uint16Array;
      if (!fits) throw new Error(`write: ${data.constructor.name} does not fit a tensor of ${storage}.`);
      if (offset < 0 || offset + data.length > x.length) throw new Error(`write: ${data.length} elements at ${offset} do not fit a tensor of ${x.length}.`);
      const bytes = (from: number, to: number): Uint8Array => new Uint8Array(values.buffer, values.byteOffset + from * values.BYTES_PER_ELEMENT, (to - from) * values.BYTES_PER_ELEMENT);
      if (storage !== 'bf16') {
        if (data.length > 0) gpu.write(part, 4 * offset, bytes(0, data.length));
        return;
      }
      // the GPU's memory is written in words: a half of one at either end goes in by itself
      const from = Math.min(data.length, offset & 1);
      const to = data.length - ((data.length - from) & 1);
      if (to > from) gpu.write(part, 2 * (offset + from), bytes(from, to));
      for (const i of new Set([...(from > 0 ? [0] : []), ...(to < data.length ? [to] : [])])) gpu.run(PUT_HALF, { x: part }, { n: 1, at: offset + i, bits: values[i] }, 1);
    },

    async read(x: Tensor, offset: number, length: number): Promise<HostArray> {
      const { part, storage } = own(x);
      if (storage === 'q8_0' || isBlockStorage(storage)) throw new Error(`read: a tensor is ${storage} where f32 or bf16 or i32 is needed.`);
      if (offset < 0 || length < 0 || offset + length > x.length) throw new Error(`read: ${length} elements at ${offset} lie outside a tensor of ${x.length}.`);
      if (length === 0) return storage === 'f32' ? new Float32Array() : storage === 'i32' ? new Int32Array() : new Uint16Array();
      if (storage === 'bf16') {
        const first = offset >> 1;
        const halves = new Uint16Array(await gpu.read(part, 4 * first, 4 * (Math.ceil((offset + length) / 2) - first)));
        return halves.slice(offset - 2 * first, offset - 2 * first + length);
      }
      const values = await gpu.read(part, 4 * offset, 4 * length);
      return storage === 'f32' ? new Float32Array(values) : new Int32Array(values);
    },
  };
}
