/**
 * Reads GGUF files as llama.cpp and our own writer (gguf.ts) make them: the families of gguf-families.ts with F32, F16, BF16 and quantised
 * tensors (ggml-blocks.ts), given back as a Hugging Face config and tensors. The format's page: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * Nothing the header says is believed until it is checked against the file. One tensor is in memory at a time.
 * It builds no tokenizer (gguf-vocabulary.ts does): the file's token list is given, so that it can be held against one.
 */
import { isUtf8 } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import type { MappedBytes } from '../device/device.ts';
import { type FileMapping, mapFile } from '../device/mapping.ts';
import { fromBf16, fromF16 } from './float.ts';
import { BLOCK_TYPES, decodeBlocks } from './ggml-blocks.ts';
import { type ModelConfig, parseModelConfig } from '../model/config.ts';
import { isTransposed, transposed } from '../model/parameters.ts';
import { readConfig, ROPE_TENSORS } from './gguf-config.ts';
import { isFusedExperts, isSharedGate } from './gguf-experts.ts';
import { arrangeBack, huggingFaceModules, isArranged, isShiftedNorm } from './gguf-families.ts';
import { ALIGNMENT } from './gguf-layout.ts';

export type GgufModel = {
  /** The file's path. */
  folder: string;
  /** As config.json would have it. */
  config: Record<string, unknown>;
  /** By Hugging Face name, shapes outermost first. */
  tensors: Map<string, { name: string; shape: number[]; file: string; dtype: string }>;
  read(name: string): Promise<Float32Array>;
  /** Where an F32 or BF16 tensor lies in memory as it is stored; null where it has to be read. */
  mapped(name: string): MappedBytes | null;
  /** A tensor's bytes as they are stored, its rows in Hugging Face's order: of those in blocks. null where its columns lie otherwise. */
  readBlocks(name: string): Promise<Uint8Array | null>;
  /** The vocabulary's strings by id. */
  tokens: string[];
  /** All the file says of itself, by key. */
  metadata: Map<string, unknown>;
  close(): Promise<void>;
};

type TensorType = { name: string; numbers: number; bytes: number; decode(bytes: Uint8Array): Float32Array };
type Stored = { name: string; shape: number[]; type: TensorType; begin: number; bytes: number };
type Header = { metadata: Map<string, unknown>; tensors: Map<string, Stored> };

const HEADER_START = 1 << 24; // bytes read at first, more than a vocabulary of 150,000 tokens takes; doubled while the header goes on
const LONGEST_HEADER = 1 << 28;
const LONGEST_LIST = 1 << 22; // of metadata: the largest vocabularies have a quarter of a million tokens
const halves = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
/** By ggml's number. */
const TYPES = new Map<number, TensorType>([
  [0, { name: 'F32', numbers: 1, bytes: 4, decode: (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) }],
  [1, { name: 'F16', numbers: 1, bytes: 2, decode: (bytes) => fromF16(halves(bytes)) }],
  [30, { name: 'BF16', numbers: 1, bytes: 2, decode: (bytes) => fromBf16(halves(bytes)) }],
  ...[...BLOCK_TYPES].map(([number, type]): [number, TensorType] => [number, { ...type, decode: (bytes) => decodeBlocks(type, bytes) }]),
]);

/**
 * @param source config.json of the model the file was made from, where it is known: Llama 3.1's rope scaling lies in the file only as what it
 * comes to (rope_freqs), so its parameters are taken from there and must come to the same.
 */
export async function openGguf(path: string, source?: Record<string, unknown>): Promise<GgufModel> {
  const file = await openFile(path);
  try {
    const { metadata, tensors: stored } = await readHeader(file, path);
    const factors = new Map<string, Float32Array>();
    for (const name of ROPE_TENSORS) {
      const tensor = stored.get(name);
      if (tensor) factors.set(name, await readFloats(file, tensor, path));
      stored.delete(name);
    }
    const config = readConfig({ path, metadata, tensors: stored, factors }, source);
    const parsed = parseModelConfig(config, path);
    const byName = new Map<string, Stored>();
    for (const tensor of stored.values()) {
      for (const [name, own] of underHuggingFacesNames(parsed, tensor, path)) {
        const other = byName.get(name);
        if (other) throw new Error(`${path}: tensors ${other.name} and ${own.name} are both ${name}; the file is damaged`);
        byName.set(name, own);
      }
    }
    /** GPT-2's matrices lie the other way round in Hugging Face's folders. */
    const shapeOf = (name: string, { shape }: Stored) => (isTransposed(parsed, name, shape) ? [...shape].reverse() : shape);
    const tokens = metadata.get('tokenizer.ggml.tokens');
    if (!Array.isArray(tokens)) throw new Error(`${path}: tokenizer.ggml.tokens is missing; the file holds no vocabulary`);
    const find = (name: string): Stored => {
      const tensor = byName.get(name);
      if (!tensor) throw new Error(`${path}: there is no tensor for ${name}; the file is incomplete or of another family than it says`);
      return tensor;
    };
    const moduleOf = (name: string) => name.slice(0, name.lastIndexOf('.'));
    const liesOtherwise = (name: string): boolean => {
      const { name: stored, shape } = find(name);
      return isShiftedNorm(parsed, stored) || isArranged(parsed, moduleOf(name)) || isTransposed(parsed, name, shape);
    };
    let mapping: FileMapping | null | undefined;
    return {
      folder: path,
      config,
      tensors: new Map([...byName].map(([name, tensor]) => [name, { name, shape: shapeOf(name, tensor), file: path, dtype: tensor.type.name }])),
      async read(name) {
        const tensor = find(name);
        const values = await readFloats(file, tensor, path);
        if (isShiftedNorm(parsed, tensor.name)) return values.map((x) => x - 1);
        const arranged = arrangeBack(parsed, moduleOf(name), values, tensor.shape);
        return isTransposed(parsed, name, tensor.shape) ? transposed(arranged, tensor.shape[0]!, tensor.shape[1]!) : arranged;
      },
      async readBlocks(name) {
        const tensor = find(name);
        if (isShiftedNorm(parsed, tensor.name) || isTransposed(parsed, name, tensor.shape)) return null;
        return arrangeBack(parsed, moduleOf(name), await readBytes(file, tensor, path), tensor.shape);
      },
      mapped(name) {
        const { type, begin, bytes } = find(name);
        if ((type.name !== 'F32' && type.name !== 'BF16') || liesOtherwise(name) || begin % type.bytes !== 0 || bytes === 0) return null;
        mapping ??= mapFile(file.fd);
        return mapping && { mapping: mapping.handle, begin, storage: type.name === 'F32' ? 'f32' : 'bf16' };
      },
      tokens: tokens as string[],
      metadata,
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

/** The file as it is, under its own names: for what is no model, such as an adapter. */
export async function openGgufTensors(path: string): Promise<{
  metadata: Map<string, unknown>;
  /** Shapes outermost first. */
  tensors: Map<string, { shape: number[] }>;
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}> {
  const file = await openFile(path);
  try {
    const { metadata, tensors } = await readHeader(file, path);
    return { metadata, tensors, read: (name) => readFloats(file, tensors.get(name)!, path), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What a file says of itself, by key; for those who want no tensor. */
export async function readGgufMetadata(path: string): Promise<Map<string, unknown>> {
  const file = await openFile(path);
  try {
    return (await readHeader(file, path)).metadata;
  } finally {
    await file.close();
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: the GGUF file cannot be read (${error.code})`, { cause: error });
  });
}

/** The header is read in ever larger pieces until it is whole: nobody says beforehand how long it is. */
async function readHeader(file: FileHandle, path: string): Promise<Header> {
  const { size } = await file.stat();
  for (let length = HEADER_START; ; length *= 2) {
    const bytes = Buffer.alloc(Math.min(length, size));
    await file.read(bytes, 0, bytes.length, 0);
    try {
      return parseHeader(bytes, size, path);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (bytes.length === size || length >= LONGEST_HEADER) throw new Error(`${path}: the GGUF header ends in the middle; the file is cut off or damaged`, { cause: error });
    }
  }
}

/** Throws a RangeError when the bytes end before the header does. */
function parseHeader(bytes: Buffer, fileSize: number, path: string): Header {
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}; the file is damaged or of another make`);
  };
  let at = 0;
  const take = (count: number): number => {
    if (at + count > bytes.length) throw new RangeError('the header goes on');
    return (at += count) - count;
  };
  const u32 = () => bytes.readUInt32LE(take(4));
  const u64 = () => {
    const value = Number(bytes.readBigUInt64LE(take(8)));
    return value <= fileSize * 8 ? value : fail(`the header counts ${value} of something`);
  };
  const text = () => {
    const length = u64();
    return bytes.toString('utf8', take(length), at);
  };
  /** Where it matters which text it is. */
  const exactText = (what: string) => {
    const length = u64();
    const part = bytes.subarray(take(length), at);
    return isUtf8(part) ? part.toString('utf8') : fail(`${what} is not UTF-8 text`);
  };
  /** The list being read, where its texts matter. */
  let exact: string | null = null;
  /** By GGUF's number of a value type; 64-bit numbers become doubles. */
  const readers: (() => unknown)[] = [
    () => bytes.readUInt8(take(1)), () => bytes.readInt8(take(1)), () => bytes.readUInt16LE(take(2)), () => bytes.readInt16LE(take(2)),
    u32, () => bytes.readInt32LE(take(4)), () => bytes.readFloatLE(take(4)), () => bytes.readUInt8(take(1)) === 1, text,
    () => {
      const type = u32();
      const count = u64();
      if (type === 9 || !readers[type]) fail(`an array of value type ${type} stands in the metadata`);
      if (count > LONGEST_LIST) fail(`a list of ${count} stands in the metadata, the most is ${LONGEST_LIST}`);
      if (type === 8 && exact) return Array.from({ length: count }, (_, i) => exactText(`${exact}, entry ${i},`));
      const values: unknown[] = [];
      for (let i = 0; i < count; i++) values.push(readers[type]());
      return values;
    },
    () => Number(bytes.readBigUInt64LE(take(8))), () => Number(bytes.readBigInt64LE(take(8))), () => bytes.readDoubleLE(take(8)),
  ];

  if (bytes.toString('latin1', take(4), at) !== 'GGUF') fail('it does not begin with GGUF');
  const version = u32();
  if (version !== 2 && version !== 3) fail(`GGUF version ${version} is not read, only 2 and 3`);
  const tensorCount = u64();
  const metadata = new Map<string, unknown>();
  for (let left = u64(); left > 0; left--) {
    const key = exactText('the name of a metadata value');
    if (metadata.has(key)) fail(`metadata ${key} is there twice`);
    exact = key.startsWith('tokenizer.') ? key : null;
    const type = u32();
    metadata.set(key, (readers[type] ?? (() => fail(`metadata ${key} has value type ${type}`)))());
  }
  const alignment = metadata.get('general.alignment') ?? ALIGNMENT;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 8 || alignment % 8 !== 0) return fail(`general.alignment is ${String(alignment).slice(0, 40)}, expected a multiple of 8`);
  const infos: { name: string; shape: number[]; type: TensorType; offset: number }[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = exactText(`the name of tensor ${i + 1} of ${tensorCount}`);
    const dims = u32();
    if (dims < 1 || dims > 4) fail(`tensor ${name} has ${dims} dimensions`);
    const shape = Array.from({ length: dims }, u64).reverse();
    const number = u32();
    const type = TYPES.get(number) ?? fail(`tensor ${name} has ggml type ${number}; read are ${[...TYPES.values()].map((known) => known.name).join(', ')}`);
    infos.push({ name, shape, type, offset: u64() });
  }
  const start = Math.ceil(at / alignment) * alignment;
  const tensors = new Map<string, Stored>();
  for (const { name, shape, type, offset } of infos) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (shape[shape.length - 1] % type.numbers !== 0) fail(`tensor ${name} is ${type.name} with rows of ${shape[shape.length - 1]}`);
    const stored = (count / type.numbers) * type.bytes;
    if (start + offset + stored > fileSize) fail(`tensor ${name} would end after the file does`);
    if (offset % alignment !== 0) fail(`tensor ${name} begins at ${offset}, no multiple of ${alignment}`);
    if (tensors.has(name)) fail(`tensor ${name} is there twice`);
    tensors.set(name, { name, shape, type, begin: start + offset, bytes: stored });
  }
  const inOrder = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.bytes - b.bytes);
  for (const [i, { name, begin }] of inOrder.entries()) {
    const before = inOrder[i - 1];
    if (before && before.begin + before.bytes > begin) fail(`tensor ${name} overlaps ${before.name}`);
  }
  return { metadata, tensors };
}

const readFloats = async (file: FileHandle, tensor: Stored, path: string): Promise<Float32Array> => tensor.type.decode(await readBytes(file, tensor, path));

async function readBytes(file: FileHandle, { name, begin, bytes }: Stored, path: string): Promise<Uint8Array> {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await file.read(data, at, Math.min(bytes - at, 1 << 28), begin + at);
    if (bytesRead === 0) throw new Error(`${path}: tensor ${name} is cut off; the file was changed while it was read`);
    at += bytesRead;
  }
  return data;
}

/** Experts that lie one after another, each as a tensor of its own; all others as they are. */
function underHuggingFacesNames(config: ModelConfig, tensor: Stored, path: string): [name: string, tensor: Stored][] {
  const [, stem, suffix] = /^(.+)\.(weight|bias)$/.exec(tensor.name) ?? [];
  const modules = stem === undefined ? [] : huggingFaceModules(config, stem);
  if (modules.length === 0) throw new Error(`${path}: tensor ${tensor.name} has no counterpart in a Hugging Face model; leaving it out would change the results`);
  if (isSharedGate(tensor.name)) return [[`${modules[0]}.${suffix}`, { ...tensor, shape: [1, ...tensor.shape] }]];
  if (!isFusedExperts(tensor.name)) return [[`${modules[0]}.${suffix}`, tensor]];
  const [count, ...shape] = tensor.shape;
  if (count !== modules.length || shape.length !== 2) {
    throw new Error(`${path}: tensor ${tensor.name} has shape [${tensor.shape.join(', ')}], expert_count makes it a matrix for each of ${modules.length} experts; the file is damaged`);
  }
  const bytes = tensor.bytes / count;
  return modules.map((module, e) => [`${module}.${suffix}`, { ...tensor, shape, bytes, begin: tensor.begin + e * bytes }]);
}
