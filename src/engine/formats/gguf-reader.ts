/**
 * Reads GGUF files as llama.cpp and our own writer (gguf.ts) make them: Llama, Qwen2 and Qwen3 with F32, F16, BF16 and quantised tensors
 * (ggml-blocks.ts), given back as a Hugging Face config and tensors. The format's page: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * Nothing the header says is believed until it is checked against the file. One tensor is in memory at a time.
 * It builds no tokenizer (gguf-vocabulary.ts does): the file's token list is given, so that it can be held against one.
 */
import { isUtf8 } from 'node:buffer';
import { type FileHandle, open } from 'node:fs/promises';
import type { MappedBytes } from '../device/device.ts';
import { type FileMapping, mapFile } from '../device/mapping.ts';
import { fromBf16, fromF16 } from './float.ts';
import { BLOCK_TYPES, decodeBlocks } from './ggml-blocks.ts';
import { ALIGNMENT, deinterleave, llama3Factors, NAMES, readRope } from './gguf-layout.ts';

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
  /** The vocabulary's strings by id. */
  tokens: string[];
  /** All the file says of itself, by key. */
  metadata: Map<string, unknown>;
  close(): Promise<void>;
};

type TensorType = { name: string; numbers: number; bytes: number; decode(bytes: Uint8Array): Float32Array };
type Stored = { name: string; shape: number[]; type: TensorType; begin: number; bytes: number };
type Header = { metadata: Map<string, unknown>; tensors: Map<string, Stored> };

const HEADER_START = 1 << 20; // bytes read at first; doubled while the header goes on
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
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: the GGUF file cannot be read (${error.code})`, { cause: error });
  });
  try {
    const { metadata, tensors: stored } = await readHeader(file, path);
    const config = readConfig(metadata, stored, path);
    const heads = { q: config.num_attention_heads as number, k: config.num_key_value_heads as number };
    const factors = stored.get('rope_freqs.weight');
    if (factors) {
      stored.delete(factors.name);
      const values = await readFloats(file, factors, path);
      Object.assign(config, source ? checkedRope(values, source, config.head_dim as number, path) : foundRope(values, config));
    }
    const byName = new Map([...stored.values()].map((tensor) => [huggingFaceName(tensor.name, path), tensor]));
    const tokens = metadata.get('tokenizer.ggml.tokens');
    if (!Array.isArray(tokens)) throw new Error(`${path}: tokenizer.ggml.tokens is missing; the file holds no vocabulary`);
    const find = (name: string): Stored => {
      const tensor = byName.get(name);
      if (!tensor) throw new Error(`${path}: there is no tensor for ${name}; the file is incomplete or of another family than it says`);
      return tensor;
    };
    /** llama.cpp's order of a llama's rotary rows is another than Hugging Face's. */
    const rotated = (name: string) => (config.model_type === 'llama' ? /\.([qk])_proj\.(weight|bias)$/.exec(name) : null);
    let mapping: FileMapping | null | undefined;
    return {
      folder: path,
      config,
      tensors: new Map([...byName].map(([name, { shape, type }]) => [name, { name, shape, file: path, dtype: type.name }])),
      async read(name) {
        const tensor = find(name);
        const values = await readFloats(file, tensor, path);
        const which = rotated(name)?.[1] as 'q' | 'k' | undefined;
        return which ? deinterleave(values, tensor.shape, heads[which]) : values;
      },
      mapped(name) {
        const { type, begin, bytes } = find(name);
        if ((type.name !== 'F32' && type.name !== 'BF16') || rotated(name) || begin % type.bytes !== 0 || bytes === 0) return null;
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

/** What a file says of itself, by key; for those who want no tensor. */
export async function readGgufMetadata(path: string): Promise<Map<string, unknown>> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: the GGUF file cannot be read (${error.code})`, { cause: error });
  });
  try {
    return (await readHeader(file, path)).metadata;
  } finally {
    await file.close();
  }
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

async function readFloats(file: FileHandle, { name, type, begin, bytes }: Stored, path: string): Promise<Float32Array> {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await file.read(data, at, Math.min(bytes - at, 1 << 28), begin + at);
    if (bytesRead === 0) throw new Error(`${path}: tensor ${name} is cut off; the file was changed while it was read`);
    at += bytesRead;
  }
  return type.decode(data);
}

const ARCHITECTURES: Record<string, string> = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' };

function readConfig(metadata: Map<string, unknown>, tensors: Map<string, Stored>, path: string): Record<string, unknown> {
  const family = String(metadata.get('general.architecture'));
  if (!Object.hasOwn(ARCHITECTURES, family)) throw new Error(`${path}: general.architecture is ${family}; read are ${Object.keys(ARCHITECTURES).join(', ')}`);
  const of = (key: string): unknown => metadata.get(`${family}.${key}`);
  const number = (key: string): number => {
    const value = of(key);
    if (typeof value === 'number' && value > 0) return value;
    throw new Error(`${path}: ${family}.${key} is ${JSON.stringify(value) ?? 'missing'}; expected a number above 0`);
  };
  const embedding = tensors.get('token_embd.weight');
  if (!embedding) throw new Error(`${path}: tensor token_embd.weight is missing; the file is incomplete`);
  const heads = number('attention.head_count');
  const scaling = of('rope.scaling.type');
  const rope: Record<string, unknown> = { rope_type: 'default', rope_theta: (of('rope.freq_base') as number | undefined) ?? 10000 };
  if (scaling === 'linear' || scaling === 'yarn') Object.assign(rope, { rope_type: scaling, factor: number('rope.scaling.factor') });
  if (scaling === 'yarn') rope.original_max_position_embeddings = number('rope.scaling.original_context_length');
  return {
    architectures: [ARCHITECTURES[family]],
    model_type: family,
    vocab_size: embedding.shape[0],
    hidden_size: number('embedding_length'),
    intermediate_size: number('feed_forward_length'),
    num_hidden_layers: number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: (of('attention.head_count_kv') as number | undefined) ?? heads,
    head_dim: (of('attention.key_length') as number | undefined) ?? number('embedding_length') / heads,
    max_position_embeddings: number('context_length'),
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_parameters: rope,
    attention_bias: family !== 'qwen2' && tensors.has('blk.0.attn_q.bias'),
    mlp_bias: tensors.has('blk.0.ffn_gate.bias'),
    tie_word_embeddings: !tensors.has('output.weight'),
  };
}

/** Scaling of a file whose source is not known: Llama 3's where its factors are those, else the factors as longrope has them, which is the same arithmetic. */
function foundRope(factors: Float32Array, config: Record<string, unknown>): Record<string, unknown> {
  const { rope_theta: theta } = config.rope_parameters as { rope_theta: number };
  for (const factor of [8, 32]) {
    const parameters = { rope_type: 'llama3', rope_theta: theta, factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    const expected = llama3Factors(readRope({ rope_parameters: parameters }, ''), config.head_dim as number);
    if (expected.length === factors.length && expected.every((value, i) => Math.abs(value / factors[i] - 1) < 1e-6)) return { rope_parameters: parameters };
  }
  const list = [...factors];
  return {
    rope_parameters: {
      rope_type: 'longrope', rope_theta: theta, short_factor: list, long_factor: list, attention_factor: 1,
      original_max_position_embeddings: config.max_position_embeddings,
    },
  };
}

/** Llama 3.1's scaling as the source's config.json says it, when the file's frequencies are what it comes to. */
function checkedRope(factors: Float32Array, source: Record<string, unknown>, headDim: number, path: string): Record<string, unknown> {
  const rope = readRope(source, path);
  const expected = rope.type === 'llama3' ? llama3Factors(rope, headDim) : null;
  if (!expected || expected.length !== factors.length || expected.some((factor, i) => factor !== factors[i])) {
    throw new Error(`${path}: rope_freqs.weight is not what the source model's rope scaling (${rope.type}) comes to; the file was made from another model`);
  }
  return { rope_parameters: { rope_theta: rope.theta, ...((source.rope_parameters ?? source.rope_scaling) as Record<string, unknown>) } };
}

function huggingFaceName(name: string, path: string): string {
  const [, stem, suffix] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  const layer = stem?.match(/^blk\.(\d+)\./)?.[1];
  const pattern = layer === undefined ? stem : stem.replace(`blk.${layer}.`, 'blk.L.');
  const found = NAMES.find(([, gguf]) => gguf === pattern)?.[0];
  if (!found) throw new Error(`${path}: tensor ${name} has no counterpart in a Hugging Face model; leaving it out would change the results`);
  return `${layer === undefined ? found : found.replace('.L.', `.${layer}.`)}.${suffix}`;
}
