/**
 * For tests only: reads a whole GGUF file back, by the format's own page (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 * Not the product's reader (gguf-reader.ts), so that the writer is held to a second opinion: it checks nothing and holds everything in memory.
 */
import { readFile } from 'node:fs/promises';

export type GgufFile = {
  metadata: Map<string, unknown>;
  /** `shape` as stored: innermost first. `data` are the tensor's bytes. */
  tensors: Map<string, { shape: number[]; type: number; offset: number; data: Buffer }>;
};

/** Bytes of a ggml type per block, and numbers of a block: F32, F16, Q8_0, BF16. */
const SIZES: Record<number, [bytes: number, numbers: number]> = { 0: [4, 1], 1: [2, 1], 8: [34, 32], 30: [2, 1] };

export async function readGguf(path: string): Promise<GgufFile> {
  const bytes = await readFile(path);
  let at = 4;
  const u32 = () => bytes.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const text = () => {
    const length = u64();
    return bytes.toString('utf8', at, (at += length));
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return bytes.readInt32LE((at += 4) - 4);
    if (type === 6) return bytes.readFloatLE((at += 4) - 4);
    if (type === 7) return bytes[at++] === 1;
    if (type === 8) return text();
    const inner = u32();
    return Array.from({ length: u64() }, () => value(inner));
  };
  if (bytes.toString('latin1', 0, 4) !== 'GGUF' || u32() !== 3) throw new Error(`${path} is not GGUF 3`);
  const tensorCount = u64();
  const metadata = new Map(Array.from({ length: u64() }, (): [string, unknown] => [text(), value(u32())]));
  const infos = Array.from({ length: tensorCount }, () => ({
    name: text(),
    shape: Array.from({ length: u32() }, u64),
    type: u32(),
    offset: u64(),
  }));
  const start = Math.ceil(at / 32) * 32;
  const tensors: GgufFile['tensors'] = new Map();
  for (const { name, shape, type, offset } of infos) {
    const [size, numbers] = SIZES[type];
    const length = (shape.reduce((a, b) => a * b, 1) / numbers) * size;
    tensors.set(name, { shape, type, offset, data: bytes.subarray(start + offset, start + offset + length) });
  }
  return { metadata, tensors };
}
