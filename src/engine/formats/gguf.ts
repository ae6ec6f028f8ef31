/**
 * Writes GGUF version 3, llama.cpp's one-file format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata, the tokenizer,
 * then tensors at multiples of 32 bytes. Llama, Qwen2 and Qwen3; names, row order and types as llama.cpp's converter gives them.
 * Reading is gguf-reader.ts, what both agree on gguf-layout.ts. One tensor is in memory at a time. Shapes here are Hugging Face's, outermost first; GGUF stores them reversed.
 */
import { fromBf16, fromF16, toBf16, toF16 } from './float.ts';
import { ALIGNMENT, ARRAY, BIASES, BOOL, F32, FILE_TYPE, GGML_TYPE, type GgufType, I32, interleave, llama3Factors, NAMES, readRope, STRING, U32 } from './gguf-layout.ts';
import { ggufTokenizer, type GgufValue } from './gguf-tokenizer.ts';
import { Q8_0_BLOCK, Q8_0_BYTES, quantizeQ80 } from './q8-0.ts';
import { bytesOf, type TensorSource } from './safetensors.ts';
import { writeFileBeside } from './write-beside.ts';

type Planned = { name: string; shape: number[]; type: GgufType; bytes: number; heads: number; read: () => Promise<Float32Array> };

/** `tensors` carry Hugging Face names; `config` is the model's config.json. Returns the file's size and hash. */
export async function writeGguf(
  path: string,
  model: { config: Record<string, unknown>; tokenizerFolder: string; name: string; type: GgufType; tensors: TensorSource[] },
): Promise<{ bytes: number; sha256: string }> {
  const { config, type } = model;
  const number = (field: string): number => {
    const value = config[field];
    if (typeof value === 'number' && value > 0) return value;
    throw new Error(`cannot write ${path}: config.json has ${field} = ${JSON.stringify(value)}; expected a number above 0`);
  };
  const architecture = String(config.model_type);
  if (!Object.hasOwn(BIASES, architecture)) {
    throw new Error(
      `cannot write ${path}: model_type ${architecture} is none of ${Object.keys(BIASES).join(', ')}; export safetensors instead`,
    );
  }
  const heads = number('num_attention_heads');
  const kvHeads = config.num_key_value_heads == null ? heads : number('num_key_value_heads');
  const headDim = config.head_dim == null ? number('hidden_size') / heads : number('head_dim');
  const rope = readRope(config, path);
  const planned = plan(model, path, heads, kvHeads);
  if (rope.type === 'llama3') {
    if (architecture !== 'llama')
      throw new Error(
        `cannot write ${path}: llama3 rope scaling in a ${architecture} model has no counterpart in llama.cpp; export safetensors instead`,
      );
    const factors = llama3Factors(rope, headDim);
    planned.push({
      name: 'rope_freqs.weight',
      shape: [factors.length],
      type: 'f32',
      bytes: 4 * factors.length,
      heads: 0,
      read: () => Promise.resolve(factors),
    });
  }

  const key = (name: string) => `${architecture}.${name}`;
  const metadata: [string, GgufValue][] = [
    ['general.architecture', { string: architecture }],
    ['general.type', { string: 'model' }],
    ['general.name', { string: model.name }],
    ['general.file_type', { u32: FILE_TYPE[type] }],
    ['general.quantization_version', { u32: 2 }],
    [key('vocab_size'), { u32: number('vocab_size') }],
    [key('context_length'), { u32: number('max_position_embeddings') }],
    [key('embedding_length'), { u32: number('hidden_size') }],
    [key('block_count'), { u32: number('num_hidden_layers') }],
    [key('feed_forward_length'), { u32: number('intermediate_size') }],
    [key('attention.head_count'), { u32: heads }],
    [key('attention.head_count_kv'), { u32: kvHeads }],
    [key('attention.layer_norm_rms_epsilon'), { f32: number('rms_norm_eps') }],
    [key('rope.freq_base'), { f32: rope.theta }],
    [key('rope.dimension_count'), { u32: headDim }],
  ];
  if (config.head_dim != null) {
    metadata.push([key('attention.key_length'), { u32: headDim }], [key('attention.value_length'), { u32: headDim }]);
  }
  if (rope.type === 'linear' || rope.type === 'yarn') {
    metadata.push([key('rope.scaling.type'), { string: rope.type }], [key('rope.scaling.factor'), { f32: rope.number('factor') }]);
  }
  if (rope.type === 'yarn') {
    metadata.push([key('rope.scaling.original_context_length'), { u32: rope.number('original_max_position_embeddings') }]);
  }
  metadata.push(...(await ggufTokenizer(model.tokenizerFolder, config, number('vocab_size'))));

  return writeFileBeside(path, async (write) => {
    const header = encodeHeader(metadata, planned);
    await write(header);
    await write(padding(header.length));
    for (const tensor of planned) {
      const values = await tensor.read();
      const count = tensor.shape.reduce((a, b) => a * b, 1);
      if (values.length !== count)
        throw new Error(`cannot write ${path}: tensor ${tensor.name} has ${values.length} values where its shape needs ${count}`);
      await write(encode(tensor.heads > 0 ? interleave(values, tensor.shape, tensor.heads) : values, tensor.type));
      await write(padding(tensor.bytes));
    }
  });
}

/** Every tensor under its GGUF name and type, in NAMES' order layer by layer; nothing is read yet. */
function plan(
  model: { config: Record<string, unknown>; type: GgufType; tensors: TensorSource[] },
  path: string,
  heads: number,
  kvHeads: number,
): Planned[] {
  const { config, type } = model;
  const sources = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  for (const name of sources.keys()) if (/\.rotary_emb\.inv_freq$/.test(name)) sources.delete(name); // a buffer of old files
  const isTied = config.tie_word_embeddings === true;
  const head = sources.get('lm_head.weight');
  if (isTied && head) {
    // A tied head is stored once, under either name; llama.cpp takes the embedding where there is no head.
    if (!sources.has('model.embed_tokens.weight')) sources.set('model.embed_tokens.weight', head);
    sources.delete('lm_head.weight');
  }
  const layers = config.num_hidden_layers as number;
  const planned: Planned[] = [];
  const take = (from: string, to: string): void => {
    if (/\.[qk]_norm$/.test(from) && config.model_type !== 'qwen3') return;
    for (const suffix of BIASES[String(config.model_type)].test(from) ? ['weight', 'bias'] : ['weight']) {
      const source = sources.get(`${from}.${suffix}`);
      if (!source) {
        const isOptional = suffix === 'bias' || (from === 'lm_head' && isTied);
        if (!isOptional) throw new Error(`cannot write ${path}: tensor ${from}.weight is missing; the model does not fit its config.json`);
        continue;
      }
      sources.delete(`${from}.${suffix}`);
      const { shape } = source;
      if (from === 'model.embed_tokens' && shape[0] !== config.vocab_size) {
        throw new Error(
          `cannot write ${path}: the embedding has ${shape[0]} rows, vocab_size in config.json is ${String(config.vocab_size)}; correct it`,
        );
      }
      const tensorType =
        shape.length < 2 || /norm$/.test(from) ? 'f32' : type === 'q8_0' && shape[shape.length - 1] % Q8_0_BLOCK !== 0 ? 'f16' : type;
      const rotated = config.model_type !== 'llama' ? 0 : /\.q_proj$/.test(from) ? heads : /\.k_proj$/.test(from) ? kvHeads : 0;
      planned.push({
        name: `${to}.${suffix}`,
        shape,
        type: tensorType,
        bytes: bytesOfType(shape, tensorType),
        heads: rotated,
        read: () => readFloats(source, path),
      });
    }
  };
  const isLayered = (name: string) => name.includes('.L.');
  const first = NAMES.findIndex(([name]) => isLayered(name));
  const last = NAMES.findLastIndex(([name]) => isLayered(name));
  for (const [from, to] of NAMES.slice(0, first)) take(from, to);
  for (let layer = 0; layer < layers; layer++) {
    for (const [from, to] of NAMES.slice(first, last + 1)) take(from.replace('.L.', `.${layer}.`), to.replace('.L.', `.${layer}.`));
  }
  for (const [from, to] of NAMES.slice(last + 1)) take(from, to);
  for (const name of sources.keys()) {
    throw new Error(
      `cannot write ${path}: tensor ${name} has no place in a ${String(config.model_type)} GGUF file; export safetensors instead`,
    );
  }
  return planned;
}

async function readFloats(source: TensorSource, path: string): Promise<Float32Array> {
  const values = await source.read();
  if (values instanceof Float32Array) return values;
  if (values instanceof Uint16Array && source.dtype === 'BF16') return fromBf16(values);
  if (values instanceof Uint16Array && source.dtype === 'F16') return fromF16(values);
  throw new Error(`cannot write ${path}: tensor ${source.name} has dtype ${source.dtype}, which is not a weight's`);
}

function bytesOfType(shape: number[], type: GgufType): number {
  const count = shape.reduce((a, b) => a * b, 1);
  return type === 'q8_0' ? (count / Q8_0_BLOCK) * Q8_0_BYTES : type === 'f32' ? 4 * count : 2 * count;
}

function encode(values: Float32Array, type: GgufType): Uint8Array {
  if (type === 'f32') return bytesOf(values);
  if (type === 'f16') return bytesOf(toF16(values));
  if (type === 'bf16') return bytesOf(toBf16(values));
  return quantizeQ80(values);
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT);
}

function encodeHeader(metadata: [string, GgufValue][], tensors: Planned[]): Uint8Array {
  const pieces: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, value] of metadata) pieces.push(string(key), encodeValue(value));
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    pieces.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(GGML_TYPE[type]), u64(offset));
    offset += bytes + padding(bytes).length;
  }
  return Buffer.concat(pieces);
}

function encodeValue(value: GgufValue): Buffer {
  if ('u32' in value) return Buffer.concat([u32(U32), u32(value.u32)]);
  if ('f32' in value) return Buffer.concat([u32(F32), bytesOf(Float32Array.of(value.f32))]);
  if ('bool' in value) return Buffer.concat([u32(BOOL), Buffer.of(value.bool ? 1 : 0)]);
  if ('string' in value) return Buffer.concat([u32(STRING), string(value.string)]);
  if ('strings' in value) return Buffer.concat([u32(ARRAY), u32(STRING), u64(value.strings.length), ...value.strings.map(string)]);
  if ('f32s' in value) return Buffer.concat([u32(ARRAY), u32(F32), u64(value.f32s.length), bytesOf(value.f32s)]);
  return Buffer.concat([u32(ARRAY), u32(I32), u64(value.i32s.length), bytesOf(value.i32s)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** Length in bytes, then UTF-8. */
function string(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}
