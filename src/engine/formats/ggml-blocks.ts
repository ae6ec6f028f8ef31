/**
 * ggml's quantised tensor types, read: a row is blocks of numbers that share their scales. Bit-equal to the gguf package, which rounds each
 * step to float32. Nothing is written here: quantising is q8-0.ts.
 */
import { f16ToF32 } from './float.ts';
import { Q8_0_BLOCK, Q8_0_BYTES } from './q8-0.ts';

/** `decode` reads the block at `at` into numbers from `to` on. */
export type BlockType = { numbers: number; bytes: number; decode(from: Uint8Array, at: number, out: Float32Array, to: number): void };

const f32 = Math.fround;
const half = (from: Uint8Array, at: number): number => f16ToF32(from[at]! | (from[at + 1]! << 8));

/** Blocks of 32 halves: 16 bytes of low and high nibbles, a fifth bit in `high` where there is one. x = d · q + shift. */
function nibbles(fifthBit: boolean, withMinimum: boolean): BlockType {
  const head = withMinimum ? 4 : 2;
  const qs = head + (fifthBit ? 4 : 0);
  const centre = withMinimum ? 0 : fifthBit ? 16 : 8;
  return {
    numbers: 32,
    bytes: qs + 16,
    decode(from, at, out, to) {
      const d = half(from, at);
      const minimum = withMinimum ? half(from, at + 2) : 0;
      for (let i = 0; i < 32; i++) {
        const byte = from[at + qs + (i % 16)]!;
        let q = i < 16 ? byte & 15 : byte >> 4;
        if (fifthBit) q |= ((from[at + head + (i >> 3)]! >> (i & 7)) & 1) << 4;
        const x = f32(d * (q - centre));
        out[to + i] = withMinimum ? x + minimum : x; // adding 0 would make 0 of −0
      }
    },
  };
}

/** Six-bit scale and minimum of each of a block's eight parts, packed into twelve bytes. */
function scaleAndMinimum(from: Uint8Array, at: number, part: number): [number, number] {
  if (part < 4) return [from[at + part]! & 63, from[at + part + 4]! & 63];
  const packed = from[at + part + 4]!;
  return [(packed & 15) | ((from[at + part - 4]! >> 6) << 4), (packed >> 4) | ((from[at + part]! >> 6) << 4)];
}

/** Blocks of 256: eight parts of 32 with a scale and a minimum each. x = d · scale · q − dmin · minimum. */
function parts(fifthBit: boolean): BlockType {
  const qs = 16 + (fifthBit ? 32 : 0);
  return {
    numbers: 256,
    bytes: qs + 128,
    decode(from, at, out, to) {
      const [d, dmin] = [half(from, at), half(from, at + 2)];
      for (let part = 0; part < 8; part++) {
        const [scale, minimum] = scaleAndMinimum(from, at + 4, part);
        const [by, less] = [f32(d * scale), f32(dmin * minimum)];
        for (let i = 0; i < 32; i++) {
          const byte = from[at + qs + 32 * (part >> 1) + i]!;
          let q = part % 2 === 0 ? byte & 15 : byte >> 4;
          if (fifthBit) q |= ((from[at + 16 + i]! >> part) & 1) << 4;
          out[to + 32 * part + i] = f32(by * q) - less;
        }
      }
    },
  };
}

/** Blocks of 256: sixteen parts of 16 with a signed byte each. x = d · scale · (q − 32). */
const q6K: BlockType = {
  numbers: 256,
  bytes: 210,
  decode(from, at, out, to) {
    const d = half(from, at + 208);
    for (let i = 0; i < 256; i++) {
      const [half128, quarter, l] = [i >> 7, (i >> 5) & 3, i & 31];
      const low = from[at + 64 * half128 + 32 * (quarter & 1) + l]!;
      const high = (from[at + 128 + 32 * half128 + l]! >> (2 * quarter)) & 3;
      const scale = (from[at + 192 + (i >> 4)]! << 24) >> 24;
      out[to + i] = f32(d * scale) * (((quarter < 2 ? low & 15 : low >> 4) | (high << 4)) - 32);
    }
  },
};

const q80: BlockType = {
  numbers: Q8_0_BLOCK,
  bytes: Q8_0_BYTES,
  decode(from, at, out, to) {
    const d = half(from, at);
    for (let i = 0; i < Q8_0_BLOCK; i++) out[to + i] = d * ((from[at + 2 + i]! << 24) >> 24);
  },
};

/** By ggml's number of the type. */
export const BLOCK_TYPES: ReadonlyMap<number, BlockType & { name: string }> = new Map([
  [2, { name: 'Q4_0', ...nibbles(false, false) }],
  [3, { name: 'Q4_1', ...nibbles(false, true) }],
  [6, { name: 'Q5_0', ...nibbles(true, false) }],
  [7, { name: 'Q5_1', ...nibbles(true, true) }],
  [8, { name: 'Q8_0', ...q80 }],
  [12, { name: 'Q4_K', ...parts(false) }],
  [13, { name: 'Q5_K', ...parts(true) }],
  [14, { name: 'Q6_K', ...q6K }],
]);

/** The numbers that whole blocks mean. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array {
  const blocks = bytes.length / type.bytes;
  const out = new Float32Array(blocks * type.numbers);
  for (let block = 0; block < blocks; block++) type.decode(bytes, block * type.bytes, out, block * type.numbers);
  return out;
}
