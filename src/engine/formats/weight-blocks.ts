/**
 * How a device keeps a frozen matrix in blocks of numbers that share a scale: the bytes it is given, and what they mean. Rows are whole blocks.
 * int8 and q4_0 are ggml's Q8_0 and Q4_0 as GGUF files have them, nf4 is bitsandbytes'.
 */
import { BLOCK_NUMBERS, type BlockStorage, type HostArray, type Storage } from '../device/device.ts';
import { fromBf16, toBf16 } from './float.ts';
import { BLOCK_TYPES, decodeBlocks } from './ggml-blocks.ts';
import { dequantizeNf4, nf4Bytes, quantizeNf4 } from './nf4.ts';
import { Q4_0_BYTES, quantizeQ40 } from './q4-0.ts';
import { dequantizeQ80, Q8_0_BYTES, quantizeQ80 } from './q8-0.ts';

/** `bytes` of so many numbers. */
type WeightBlocks = {
  bytes(length: number): number;
  quantize(values: Float32Array): Uint8Array;
  dequantize(bytes: Uint8Array, length: number): Float32Array;
};

const Q4_0 = BLOCK_TYPES.get(2)!;

const KINDS: Record<BlockStorage, WeightBlocks> = {
  int8: { bytes: (length) => (length / BLOCK_NUMBERS.int8) * Q8_0_BYTES, quantize: quantizeQ80, dequantize: dequantizeQ80 },
  q4_0: { bytes: (length) => (length / BLOCK_NUMBERS.q4_0) * Q4_0_BYTES, quantize: quantizeQ40, dequantize: (bytes) => decodeBlocks(Q4_0, bytes) },
  nf4: { bytes: nf4Bytes, quantize: quantizeNf4, dequantize: dequantizeNf4 },
};

export const weightBlocks = (storage: BlockStorage): WeightBlocks => KINDS[storage];

export const isBlockStorage = (storage: string): storage is BlockStorage => Object.hasOwn(KINDS, storage);

/** What a device is given for a matrix of so many numbers, as the bytes it keeps: numbers are quantised, other bytes refused. */
export function bytesToKeep(storage: BlockStorage, length: number, data: HostArray, offset: number): Uint8Array {
  const { bytes, quantize } = KINDS[storage];
  const whole = data instanceof Float32Array ? length : bytes(length);
  if (!(data instanceof Float32Array || data instanceof Uint8Array)) throw new Error(`write: ${data.constructor.name} does not fit a tensor of ${storage}.`);
  if (offset !== 0 || data.length !== whole) throw new Error(`write: a tensor of ${length} in ${storage} takes all its ${length} numbers or ${bytes(length)} bytes at once, got ${data.length}.`);
  return data instanceof Float32Array ? quantize(data) : data;
}

/** Bytes of so many numbers in memory. */
export function storageBytes(storage: Exclude<Storage, 'i32'>, length: number): number {
  if (storage === 'q8_0') return KINDS.int8.bytes(length);
  return isBlockStorage(storage) ? KINDS[storage].bytes(length) : length * (storage === 'bf16' ? 2 : 4);
}

/** The numbers a matrix of these comes to when it is kept so: what an adapter trained on it is added to. */
export function asKept(values: Float32Array, storage: Exclude<Storage, 'i32' | 'q8_0'>): Float32Array {
  if (storage === 'bf16') return fromBf16(toBf16(values));
  if (!isBlockStorage(storage)) return values;
  const { quantize, dequantize } = KINDS[storage];
  return dequantize(quantize(values), values.length);
}
