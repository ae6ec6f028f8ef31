/**
 * GGUF version 3 as bytes (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): the header, then tensors at multiples of 32 bytes.
 * What stands in it is the callers': gguf.ts writes models, gguf-lora.ts adapters. One tensor is in memory at a time, of experts one.
 */
import { checkFitsF16 } from './float.ts';
import { encoders } from './ggml-quantize.ts';
import { ALIGNMENT, ARRAY, BOOL, F32, I32, STRING, TENSOR_TYPE, type TensorType, U32, U8 } from './gguf-layout.ts';
import { bytesOfTensor } from './gguf-mixture.ts';
import type { GgufValue } from './gguf-tokenizer.ts';
import { type Piece, writeAtOnce, type WriteFile } from './pieces.ts';
import { bytesOf } from './safetensors.ts';

/** `shape` outermost first, as Hugging Face has it; GGUF stores it reversed. `parts`: its rows, as many in each, read one part after another; experts lie so. */
export type PlannedTensor = { name: string; shape: number[]; type: TensorType; parts: (() => Promise<Float32Array>)[] };

/** Returns the file's size and hash. */
export async function writeGgufFile(path: string, metadata: [string, GgufValue][], tensors: PlannedTensor[], writeFile: WriteFile = writeAtOnce): Promise<{ bytes: number; sha256: string }> {
  const header = encodeHeader(metadata, tensors);
  const pieces = tensors.flatMap(({ name, shape, type, parts }) => {
    const count = shape.reduce((a, b) => a * b, 1) / parts.length;
    const bytes = bytesOfTensor(shape, type);
    return parts.map((read, part): Piece => {
      const end = part === parts.length - 1 ? padding(bytes) : new Uint8Array(0);
      return {
        name: parts.length === 1 ? name : `${name} part ${part}`,
        bytes: bytes / parts.length + end.length,
        async make() {
          const values = await read();
          if (values.length !== count) throw new Error(`cannot write ${path}: tensor ${name} has ${values.length} values where its shape needs ${count}`);
          if (type === 'f16') checkFitsF16(values, name);
          return [encoders[type](values), end];
        },
      };
    });
  });
  return writeFile(path, Buffer.concat([header, padding(header.length)]), pieces);
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT);
}

function encodeHeader(metadata: [string, GgufValue][], tensors: PlannedTensor[]): Uint8Array {
  const pieces: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, value] of metadata) pieces.push(string(key), encodeValue(value));
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    pieces.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(TENSOR_TYPE[type].number), u64(offset));
    const bytes = bytesOfTensor(shape, type);
    offset += bytes + padding(bytes).length;
  }
  return Buffer.concat(pieces);
}

function encodeValue(value: GgufValue): Buffer {
  const list = (type: number, length: number, items: Uint8Array) => Buffer.concat([u32(ARRAY), u32(type), u64(length), items]);
  if ('u32' in value) return Buffer.concat([u32(U32), u32(value.u32)]);
  if ('f32' in value) return Buffer.concat([u32(F32), bytesOf(Float32Array.of(value.f32))]);
  if ('bool' in value) return Buffer.concat([u32(BOOL), Buffer.of(value.bool ? 1 : 0)]);
  if ('string' in value) return Buffer.concat([u32(STRING), string(value.string)]);
  if ('strings' in value) return list(STRING, value.strings.length, Buffer.concat(value.strings.map(string)));
  if ('bools' in value) return list(BOOL, value.bools.length, Buffer.from(value.bools.map(Number)));
  if ('bytes' in value) return list(U8, value.bytes.length, value.bytes);
  if ('f32s' in value) return list(F32, value.f32s.length, bytesOf(value.f32s));
  return list(I32, value.i32s.length, bytesOf(value.i32s));
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
