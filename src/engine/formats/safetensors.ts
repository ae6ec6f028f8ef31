/**
 * Safetensors files (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, then raw tensors.
 * The reader believes nothing the header says until it is checked against the file; the writer is deterministic: the same tensors
 * give the same bytes, in the order the Rust crate uses (by type, widest first, then by name). One tensor is in memory at a time.
 * Bytes are little-endian, as is every machine this runs on.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { MappedBytes } from '../device/device.ts';
import { type FileMapping, mapFile } from '../device/mapping.ts';
import { checkFitsF16, fromBf16, fromF16, fromF8, isFloat8, toBf16, toF16 } from './float.ts';
import { parseJsonObject } from './json.ts';
import { writeAtOnce, type WriteFile } from './pieces.ts';

/** `begin` and `end` are bytes of the file itself. `dtype` is as stored (F32, F16, BF16, I32, …). */
export type TensorInfo = { name: string; dtype: string; shape: number[]; file: string; begin: number; end: number };

export type Safetensors = {
  tensors: Map<string, TensorInfo>;
  metadata: Record<string, string>;
  /** F32, F16, BF16 or F8, as float32. */
  read(name: string): Promise<Float32Array>;
  /** The tensor's bytes as stored. */
  readRaw(name: string): Promise<Uint8Array>;
  /** Where an F32 or BF16 tensor lies in memory as it is stored; null for other types, and where the file cannot be mapped. Nothing is read. */
  mapped(name: string): MappedBytes | null;
  close(): Promise<void>;
};

/** A tensor to write. A Float32Array is converted to `dtype`; a Uint16Array is taken as the bits of F16 or BF16. */
export type TensorSource = {
  name: string;
  shape: number[];
  dtype: 'F32' | 'F16' | 'BF16' | 'I32';
  read: () => Promise<Float32Array | Int32Array | Uint16Array>;
};

/** Bytes of one element. Types smaller than a byte are not read. */
const DTYPE_BYTES: Record<string, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
};

const WRITE_ORDER = ['F32', 'I32', 'BF16', 'F16']; // of the Rust crate
const MAX_HEADER = 100_000_000; // bytes; the limit of the Rust crate
const CHUNK = 1 << 24; // bytes read at once while converting

export async function openSafetensors(path: string): Promise<Safetensors> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`cannot open ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`, { cause: error });
  });
  try {
    const { tensors, metadata } = await readHeader(file, path);
    const find = (name: string): TensorInfo => {
      const info = tensors.get(name);
      if (!info) throw new Error(`${path}: there is no tensor ${name}; it holds ${tensors.size} others`);
      return info;
    };
    let mapping: FileMapping | null | undefined;
    return {
      tensors,
      metadata,
      mapped(name) {
        const { dtype, begin, end } = find(name);
        if ((dtype !== 'F32' && dtype !== 'BF16') || begin % DTYPE_BYTES[dtype]! !== 0 || begin === end) return null;
        mapping ??= mapFile(file.fd);
        return mapping && { mapping: mapping.handle, begin, storage: dtype === 'F32' ? 'f32' : 'bf16' };
      },
      read: async (name) => readFloats(file, find(name)),
      readRaw: async (name) => {
        const info = find(name);
        const bytes = new Uint8Array(info.end - info.begin);
        await readFully(file, info, bytes, info.begin);
        return bytes;
      },
      close: () => {
        mapping?.close();
        return file.close();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: FileHandle, path: string): Promise<Pick<Safetensors, 'tensors' | 'metadata'>> {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const again = 'it is truncated or not a safetensors file; download it again';
  const stat = await file.stat();
  if (!stat.isFile()) fail('it is not a file; name a .safetensors file');
  const size = stat.size;
  if (size < 8) fail(`it has ${size} bytes where a safetensors file starts with 8 bytes of header length: ${again}`);
  const head = Buffer.alloc(8);
  await file.read(head, 0, 8, 0);
  const length = head.readBigUInt64LE(0);
  if (length > BigInt(MAX_HEADER)) fail(`the header says it is ${length} bytes long, the most allowed is ${MAX_HEADER}: ${again}`);
  const start = 8 + Number(length);
  if (start > size) fail(`the header says it ends at byte ${start} but the file ends at ${size}: ${again}`);
  const bytes = Buffer.alloc(Number(length));
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 8);
  if (bytesRead !== bytes.length) fail(`its header could not be read whole (${bytesRead} of ${bytes.length} bytes): ${again}`);
  if (bytes[0] !== 0x7b) fail(`the header does not start with '{': ${again}`);
  const header = parseJsonObject(bytes, `${path}: the header`);

  let metadata: Record<string, string> = {};
  const tensors = new Map<string, TensorInfo>();
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(value, path);
    else tensors.set(name, checkTensor(name, value, path, start, size));
  }
  checkCoverage(tensors, path, start, size);
  return { tensors, metadata };
}

function checkMetadata(value: unknown, path: string): Record<string, string> {
  if (isObject(value) && Object.values(value).every((v) => typeof v === 'string')) return value as Record<string, string>;
  throw new Error(`${path}: __metadata__ is not a map of strings; save the file again with a current safetensors library`);
}

function checkTensor(name: string, value: unknown, path: string, start: number, size: number): TensorInfo {
  const fail = (what: string): never => {
    throw new Error(`${path}: tensor ${show(name)} ${what}`);
  };
  const damaged = 'the header is damaged; download the file again';
  if (!isObject(value)) return fail(`is not described by an object with dtype, shape and data_offsets: ${damaged}`);
  const { dtype, shape, data_offsets: offsets } = value;
  const width = typeof dtype === 'string' && Object.hasOwn(DTYPE_BYTES, dtype) ? DTYPE_BYTES[dtype] : undefined;
  if (width === undefined)
    return fail(`has dtype ${show(dtype)}; known are ${Object.keys(DTYPE_BYTES).join(', ')}: convert it to F32, F16 or BF16`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`has shape ${show(shape)}; expected whole numbers from 0 up: ${damaged}`);
  let bytes = width;
  if (shape.includes(0)) bytes = 0;
  else {
    for (const dim of shape) {
      bytes *= dim;
      if (!Number.isSafeInteger(bytes)) return fail(`has shape ${show(shape)}, which overflows: ${damaged}`);
    }
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail(`has data_offsets ${show(offsets)}; expected two whole numbers from 0 up: ${damaged}`);
  }
  const [from, to] = offsets as [number, number];
  if (from > to) return fail(`has data_offsets ${show(offsets)}: it ends before it begins: ${damaged}`);
  if (to > size - start) {
    return fail(`says bytes ${start + from}..${start + to} but the file ends at ${size}: it is truncated; download it again`);
  }
  if (to - from !== bytes) {
    return fail(`has ${to - from} bytes where dtype ${dtype as string} and shape ${show(shape)} need ${bytes}: ${damaged}`);
  }
  return { name, dtype: dtype as string, shape: shape as number[], file: path, begin: start + from, end: start + to };
}

/** Tensors must lie end to end: no byte of the data belongs to two, none to nobody. */
function checkCoverage(tensors: Map<string, TensorInfo>, path: string, start: number, size: number): void {
  let at = start;
  let before = 'the header';
  for (const { name, begin, end } of [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) {
      const what = begin < at ? `overlaps ${show(before)}, which ends at` : `leaves a hole after ${show(before)}, which ends at`;
      throw new Error(
        `${path}: tensor ${show(name)} begins at byte ${begin} and ${what} ${at}: the header is damaged; download the file again`,
      );
    }
    at = end;
    before = name;
  }
  if (at !== size) {
    throw new Error(
      `${path}: the last tensor ends at byte ${at} but the file has ${size} bytes: the header does not match; download the file again`,
    );
  }
}

async function readFloats(file: FileHandle, info: TensorInfo): Promise<Float32Array> {
  const { dtype, begin, end } = info;
  if (dtype === 'F32') {
    const out = new Float32Array((end - begin) / 4);
    await readFully(file, info, new Uint8Array(out.buffer), begin);
    return out;
  }
  if (isFloat8(dtype)) {
    const bytes = new Uint8Array(end - begin);
    await readFully(file, info, bytes, begin);
    return fromF8(dtype, bytes);
  }
  if (dtype !== 'F16' && dtype !== 'BF16') {
    throw new Error(
      `${info.file}: tensor ${info.name} has dtype ${dtype} where F32, F16, BF16 or F8 is needed; convert the weights to one of these`,
    );
  }
  const out = new Float32Array((end - begin) / 2);
  const buffer = new Uint16Array(Math.min(CHUNK, end - begin) / 2);
  for (let at = 0; at < out.length; at += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, out.length - at));
    await readFully(file, info, new Uint8Array(part.buffer, 0, part.byteLength), begin + 2 * at);
    if (dtype === 'F16') fromF16(part, out, at);
    else fromBf16(part, out, at);
  }
  return out;
}

async function readFully(file: FileHandle, info: TensorInfo, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) {
    const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK, bytes.byteLength - at), position + at);
    if (bytesRead === 0)
      throw new Error(`${info.file}: it became shorter while tensor ${info.name} was read; leave the file alone and try again`);
    at += bytesRead;
  }
}

/** Bytes a tensor takes in a file. */
export const tensorBytes = ({ dtype, shape }: Pick<TensorSource, 'dtype' | 'shape'>): number => DTYPE_BYTES[dtype] * shape.reduce((a, b) => a * b, 1);

/** Tensors in any order; names must differ. Metadata defaults to what transformers asks for. */
export async function writeSafetensors(
  path: string,
  tensors: TensorSource[],
  metadata: Record<string, string> = { format: 'pt' },
  writeFile: WriteFile = writeAtOnce,
): Promise<{ bytes: number; sha256: string }> {
  const sorted = [...tensors].sort((a, b) => WRITE_ORDER.indexOf(a.dtype) - WRITE_ORDER.indexOf(b.dtype) || (a.name < b.name ? -1 : 1));
  const header: [string, unknown][] = [['__metadata__', Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)))]];
  const names = new Set(['__metadata__']);
  let end = 0;
  for (const source of sorted) {
    const { name, shape, dtype } = source;
    if (names.has(name)) throw new Error(`cannot write ${path}: two tensors are named ${name}`);
    names.add(name);
    const begin = end;
    end += tensorBytes(source);
    header.push([name, { dtype, shape, data_offsets: [begin, end] }]);
  }
  const json = Buffer.from(`{${header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`, 'utf8');
  const head = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, 0x20); // data starts at a multiple of 8 bytes
  head.writeBigUInt64LE(BigInt(head.length - 8));
  json.copy(head, 8);
  return writeFile(path, head, sorted.map((source) => ({ name: source.name, bytes: tensorBytes(source), make: async () => [encode(source, await source.read(), path)] })));
}

function encode(source: TensorSource, values: Float32Array | Int32Array | Uint16Array, path: string): Uint8Array {
  const { name, shape, dtype } = source;
  const count = shape.reduce((a, b) => a * b, 1);
  if (values.length !== count) {
    throw new Error(`cannot write ${path}: tensor ${name} has ${values.length} values where shape ${show(shape)} needs ${count}`);
  }
  if (values instanceof Float32Array) {
    if (dtype === 'F32') return bytesOf(values);
    if (dtype === 'F16') {
      checkFitsF16(values, name);
      return bytesOf(toF16(values));
    }
    if (dtype === 'BF16') return bytesOf(toBf16(values));
  } else if (values instanceof Int32Array ? dtype === 'I32' : dtype === 'F16' || dtype === 'BF16') return bytesOf(values);
  throw new Error(`cannot write ${path}: tensor ${name} is a ${values.constructor.name}, which cannot become ${dtype}`);
}

export function bytesOf(values: Float32Array | Int32Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A value from an untrusted header, on one line and short enough for a sentence. */
function show(value: unknown): string {
  let text: string;
  try {
    text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'missing');
  } catch {
    text = 'nested too deep to show';
  }
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  text = text.slice(0, 121).replace(/[\u0000-\u001f\u007f]/g, '?');
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
