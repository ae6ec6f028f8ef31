/**
 * The CUDA device's border: tensors in a GPU's memory, and launches of the kernels in native/cuda/ by name. The addon (native/cuda/addon.cpp) is built
 * with the other kernels and needs neither CUDA nor a GPU to load; the driver's library is looked for when a device is opened.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { BUILT } from '../built.ts';
import { bytesToKeep, isBlockStorage, storageBytes } from '../../formats/weight-blocks.ts';
import { BLOCK_NUMBERS, type HostArray, type Storage, type Tensor } from '../device.ts';
import { layOutBlocks } from './blocks.ts';

type Handle = { readonly cuda: unique symbol };
type Opened = {
  handle: Handle; name: string; capability: string; driverVersion: string; processors: number; blockBytes: number; memoryBytes: number;
  /** Where kernels leave what they refuse. */
  fault: number;
};
type Addon = {
  open(driver: string, kernels: string, piece: number): Opened;
  alloc(device: Handle, bytes: number, zero: boolean): number;
  allocGrowing(device: Handle, bytes: number): number;
  forget(device: Handle, address: number, bytes: number): void;
  free(device: Handle, address: number): void;
  memory(device: Handle): { bytes: number; peakBytes: number };
  write(device: Handle, address: number, data: HostArray): boolean;
  copy(device: Handle, to: number, from: number, bytes: number): boolean;
  driverCalls(device: Handle): number;
  read(device: Handle, address: number, into: HostArray, fault: Int32Array): void;
  find(device: Handle, kernel: string, blockBytes: number): number;
  launch(device: Handle, kernel: number, gx: number, gy: number, gz: number, threads: number, blockBytes: number, args: Uint8Array, count: number): void;
  openCublasLt(device: Handle, path: string): { handle: unknown; version: string } | null;
  multiply(library: unknown, ...product: Parameters<CublasLtLibrary['multiply']>): boolean;
};

/** cuBLASLt as native/cuda/cublas_lt.h has it: whether there is an algorithm for the shape, and if so the product is queued. */
export type CublasLtLibrary = {
  readonly version: string;
  multiply(turnedA: boolean, turnedB: boolean, m: number, n: number, k: number, a: number, b: number, bias: number, out: number, alpha: number, beta: number): boolean;
};

/** What alloc gave; its views share it, and it is gone with the first of them that is asked after free. */
type Home = { gpu: object; address: number; bytes: number; freed: boolean };
export type CudaTensor = Tensor & { home: Home; address: number };

/** A kernel's arguments: p an address, l an integer of 64 bits, i one of 32, f a float. */
const KERNELS = {
  fill32: 'pil', fill16: 'pil', narrow_all: 'ppl', axpy: 'ppfl', copy_columns: 'plpllii', square_sums: 'ppll', add_square_sums: 'ppi',
  dropout: 'ppliif', adamw: 'pppplfffffffff',
  gather_f32: 'pppiip', gather_bf16: 'pppiip', gather_q8_0: 'ppppiip', gather_int8: 'pppiip', gather_q4_0: 'pppiip', gather_nf4: 'pppiip', decode_int8: 'ppl', decode_q4_0: 'ppl', decode_nf4: 'ppl', scatter_add: 'pppiiip', rope: 'ppp' + 'liiifip',
  rms_norm: 'pppplif', rms_norm_backward: 'ppppp' + 'li', layer_norm: 'pppppplif', layer_norm_backward: 'pppppp' + 'li', column_sums: 'ppppp' + 'li',
  gated_activation: 'pppli', gated_activation_backward: 'ppppp' + 'li', activation: 'ppli', activation_backward: 'pppli',
  few_rows_f32: 'ppppiiiffiip', few_rows_bf16: 'ppppiiiffiip', few_rows_int8: 'ppppiiiffiip', few_rows_q4_0: 'ppppiiiffiip', few_rows_nf4: 'ppppiiiffiip', reduce_parts: 'pppliiff',
  quantize_weight: 'pppl', quantize_rows: 'pppl', linear_q8_0: 'ppppppiiiffp',
  route_rows: 'ppppiiii', count_pairs: 'ppi', place_experts: 'pppi', place_pairs: 'ppppii', route_backward: 'ppppppiiii',
  combine_rows: 'pppplii', combine_rows_backward: 'pppppplii',
  logprob_rows: 'ppppppifp', logprob_backward_rows: 'ppppiif', attention_delta: 'pppli',
};
const PRODUCT = 'ppppiiiiffiiip';
const ATTENTION = 'ppppiiiiiififip';

/** By the name's beginning, for those that come in several shapes. */
function signatureOf(kernel: string): string {
  if (kernel in KERNELS) return KERNELS[kernel as keyof typeof KERNELS];
  if (kernel.startsWith('attention_dq')) return 'pppp' + ATTENTION;
  if (kernel.startsWith('attention_dkv')) return 'ppppp' + ATTENTION;
  if (kernel.startsWith('attention_join')) return 'pppi' + ATTENTION;
  return kernel.startsWith('attention_') ? 'ppp' + ATTENTION : PRODUCT;
}

const FAULTS = ['', 'gatherRows: index', 'scatterAddRows: index', 'logprob: targets', 'attention: segments', 'rope: positions'];
const SEGMENTS = 4;
const ELEMENT = { f32: 4, bf16: 2, i32: 4 };
const bytesOf = (storage: Storage, length: number): number => (storage === 'i32' ? 4 * length : storageBytes(storage, length));

export interface Gpu {
  readonly name: string;
  /** Of the card: its compute capability, the CUDA its driver knows, its multiprocessors, and bytes of block memory a kernel may ask for. */
  readonly properties: Omit<Opened, 'handle' | 'fault'>;
  readonly fault: number;
  alloc(length: number, storage: Storage, growing?: boolean): CudaTensor;
  forget(x: Tensor, offset: number, n: number): void;
  free(x: Tensor): void;
  view(x: Tensor, offset: number, length: number, storage: Storage): CudaTensor;
  memory(): { bytes: number; peakBytes: number };
  write(x: CudaTensor, data: HostArray, offset: number): void;
  read(x: CudaTensor, offset: number, length: number): HostArray;
  /** Of four bytes each. */
  copy(to: number, from: number, elements: number): void;
  /** Calls of the driver so far. */
  driverCalls(): number;
  /** Memory with anything in it for as long as `use` runs: kernels are ordered, so whatever takes it next comes after. */
  scratch(bytes: number, use: (address: number) => void): void;
  launch(kernel: string, grid: [x: number, y?: number, z?: number], threads: number, args: (number | null)[], blockBytes?: number): void;
  /** One thread an element, in blocks of 256. */
  each(kernel: string, n: number, args: (number | null)[]): void;
  /** The library at `path`, or null where there is none. Throws why one that is there cannot be used. */
  openCublasLt(path: string): CublasLtLibrary | null;
  /** The address of n elements of one of these storages; throws naming the kernel's argument where x is anything else. */
  need(x: Tensor, what: string, n: number, ...storages: Storage[]): number;
}

/** Launches that go to the driver together: while one piece runs the next is gathered. */
const PIECE = 128;

/** `driver`: another library in the driver's place, `piece`: how many launches go together; both for tests. Throws what is missing, and how to get it. */
export function openGpu(name: string, driver = '', piece = PIECE): Gpu {
  let addon: Addon, opened: Opened;
  const kernels = join(BUILT, 'attune.fatbin');
  try {
    addon = createRequire(import.meta.url)(join(BUILT, 'attune-cuda.node')) as Addon;
  } catch (error) {
    throw new Error(`${name}: its addon could not be loaded (${(error as Error).message.split('\n')[0]}); run npm run setup`, { cause: error });
  }
  try {
    opened = addon.open(driver, driver || kernels, piece); // a library in the driver's place brings its own kernels
  } catch (error) {
    const unbuilt = (error as Error).message.includes('not built') ? '; install the CUDA toolkit (nvcc 12 or newer) and run npm run build:cuda where Attune is' : '';
    throw new Error(`${name}: ${(error as Error).message}${unbuilt}`, { cause: error });
  }
  const { handle, fault, ...properties } = opened;
  const found = new Map<string, { kernel: number; signature: string }>();
  const packed = new DataView(new ArrayBuffer(32 * 8));
  const bytes = new Uint8Array(packed.buffer);
  const refused = new Int32Array(4);

  function own(x: Tensor, what: string): CudaTensor {
    const tensor = x as CudaTensor;
    if (tensor?.home?.gpu !== handle) throw new Error(`${what}: expected a tensor of the ${name} device, got ${x === undefined ? 'undefined' : 'another'}`);
    if (tensor.home.freed) throw new Error(`${what}: this tensor was freed`);
    return tensor;
  }

  function take(wanted: number, zero: boolean): number {
    const address = addon.alloc(handle, wanted, zero);
    if (address !== 0) return address;
    throw outOfMemory(wanted);
  }

  function outOfMemory(wanted: number): Error {
    return new Error(`${name}: out of memory, ${wanted} bytes asked for with ${addon.memory(handle).bytes} of the GPU's ${properties.memoryBytes} in use.`);
  }

  const gpu: Gpu = {
    name, properties, fault,

    alloc(length, storage, growing = false) {
      const block = storage === 'q8_0' ? 32 : isBlockStorage(storage) ? BLOCK_NUMBERS[storage] : 1;
      if (length % block !== 0) throw new Error(`alloc: length: ${storage} comes in blocks of ${block}, got ${length}`);
      const size = bytesOf(storage, length);
      const home: Home = { gpu: handle, address: growing ? addon.allocGrowing(handle, size) : take(size, true), bytes: size, freed: false };
      return { storage, length, home, address: home.address } as CudaTensor;
    },

    forget: (x, offset, n) => addon.forget(handle, gpu.need(x, 'forget: x', offset + n, 'f32') + 4 * offset, 4 * n),

    free(x) {
      const { home, address } = own(x, 'free: x');
      if (address !== home.address) throw new Error('free: x: expected a tensor that alloc gave, got a view');
      addon.free(handle, address);
      home.freed = true;
    },

    view(x, offset, length, storage) {
      if (offset % 64 !== 0) throw new Error(`view: offset: expected a multiple of 64, got ${offset}`);
      const address = gpu.need(x, 'view: x', offset + length, 'f32', storage === 'i32' ? 'i32' : 'f32') + 4 * offset;
      return { storage, length, home: (x as CudaTensor).home, address } as CudaTensor;
    },

    memory: () => addon.memory(handle),

    write(x, data, offset) {
      if (isBlockStorage(x.storage)) return void addon.write(handle, x.address, layOutBlocks(x.storage, bytesToKeep(x.storage, x.length, data, offset), x.length));
      if (offset < 0 || offset + data.length > x.length) throw new Error(`write: ${data.length} elements at ${offset} do not fit a tensor of ${x.length}`);
      if (!addon.write(handle, x.address + offset * ELEMENT[x.storage as 'f32'], data)) throw outOfMemory(data.byteLength);
    },

    read(x, offset, length) {
      if (offset < 0 || length < 0 || offset + length > x.length) throw new Error(`read: ${length} elements at ${offset} reach past a tensor of ${x.length}`);
      const into = x.storage === 'f32' ? new Float32Array(length) : x.storage === 'i32' ? new Int32Array(length) : new Uint16Array(length);
      addon.read(handle, x.address + offset * ELEMENT[x.storage as 'f32'], into, refused);
      const [kernel, place, value, limit] = refused;
      if (kernel === SEGMENTS) throw new Error(`${FAULTS[kernel]}[${place}]: expected ranges inside ${value} query and ${limit} key rows, and no more queries than keys`);
      if (kernel !== 0) throw new Error(`${FAULTS[kernel]}[${place}]: expected 0 … ${limit - 1}, got ${value}`);
      return into;
    },

    copy(to, from, elements) {
      if (!addon.copy(handle, to, from, 4 * elements)) throw outOfMemory(4 * elements);
    },
    driverCalls: () => addon.driverCalls(handle),

    scratch(size, use) {
      const address = take(size, false);
      try {
        use(address);
      } finally {
        addon.free(handle, address);
      }
    },

    launch(kernel, [x, y = 1, z = 1], threads, args, blockBytes = 0) {
      let known = found.get(kernel);
      if (!known) found.set(kernel, (known = { kernel: addon.find(handle, kernel, blockBytes), signature: signatureOf(kernel) }));
      if (known.signature.length !== args.length) throw new Error(`${kernel} takes ${known.signature.length} arguments, got ${args.length}`);
      for (const [i, value] of args.entries()) {
        const type = known.signature[i], given = value ?? 0, at = 8 * i;
        if (type === 'f') packed.setFloat32(at, given, true);
        else {
          packed.setUint32(at, given % 2 ** 32, true);
          packed.setUint32(at + 4, Math.floor(given / 2 ** 32), true);
        }
      }
      addon.launch(handle, known.kernel, x, y, z, threads, blockBytes, bytes, args.length);
    },

    each(kernel, n, args) {
      if (n > 0) gpu.launch(kernel, [Math.ceil(n / 256)], 256, args);
    },

    openCublasLt(path) {
      const library = addon.openCublasLt(handle, path);
      return library && { version: library.version, multiply: (...product) => addon.multiply(library.handle, ...product) };
    },

    need(x, what, n, ...storages) {
      const tensor = own(x, what);
      if (!storages.includes(x.storage)) throw new Error(`${what}: expected ${storages.join(' or ')}, got ${x.storage}`);
      if (!(x.length >= n) || n < 0) throw new Error(`${what}: expected at least ${n} elements, got ${x.length}`);
      return tensor.address;
    },
  };
  return gpu;
}
