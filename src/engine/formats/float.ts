/**
 * Half-precision numbers as bits: float16 (IEEE 754 binary16) and bfloat16 to and from float32.
 * Narrowing rounds to nearest, ties to even, as the hardware, PyTorch and ggml do; NaN stays NaN, too large becomes infinity.
 * It is not arithmetic in half precision: the engine computes in float32 and only stores these.
 */

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Bits of the nearest bfloat16. */
export function f32ToBf16(x: number): number {
  f32[0] = x;
  const bits = u32[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40; // NaN: keep it one by setting the quiet bit
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function bf16ToF32(bits: number): number {
  u32[0] = bits << 16;
  return f32[0];
}

/** Bits of the nearest float16. */
export function f32ToF16(x: number): number {
  f32[0] = x;
  const bits = u32[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // from 65520, half way past the largest (65504), it rounds to infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14 float16 counts in steps of 2^-24: adding 0.5, whose float32 step is 2^-24, lets the hardware round.
    u32[0] = magnitude;
    f32[0] += 0.5;
    return sign | (u32[0] - 0x3f000000);
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

export function f16ToF32(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const magnitude = bits & 0x7fff;
  if (magnitude < 0x400) {
    f32[0] = magnitude * 2 ** -24;
    u32[0] |= sign;
  } else {
    u32[0] = sign | (magnitude >= 0x7c00 ? 0x7f800000 | ((magnitude & 0x3ff) << 13) : (magnitude << 13) + 0x38000000);
  }
  return f32[0];
}

/** Eight-bit floats: E4M3 has no infinity and one NaN of either sign (PyTorch's float8_e4m3fn), E5M2 is float16's upper half, E8M0 a power of two. */
export type Float8 = 'F8_E4M3' | 'F8_E5M2' | 'F8_E8M0';

const table = (value: (byte: number) => number) => Float32Array.from({ length: 256 }, (_, byte) => value(byte));
/** What each of the 256 bytes stands for. */
const F8_VALUES: Record<Float8, Float32Array> = {
  F8_E4M3: table((byte) => {
    const [exponent, mantissa] = [(byte >> 3) & 15, byte & 7];
    const magnitude = exponent === 15 && mantissa === 7 ? NaN : exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
    return byte < 128 ? magnitude : -magnitude;
  }),
  F8_E5M2: table((byte) => f16ToF32(byte << 8)),
  F8_E8M0: table((byte) => (byte === 255 ? NaN : 2 ** (byte - 127))),
};

export const isFloat8 = (dtype: string): dtype is Float8 => Object.hasOwn(F8_VALUES, dtype);

/** Writes into `out` from `at` on. */
export function fromF8(type: Float8, bytes: Uint8Array, out: Float32Array = new Float32Array(bytes.length), at = 0): Float32Array {
  const values = F8_VALUES[type];
  for (let i = 0; i < bytes.length; i++) out[at + i] = values[bytes[i]!]!;
  return out;
}

/** Same length, converted one by one. */
export function toBf16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i];
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

export function toF16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = f32ToF16(values[i]);
  return out;
}

/** Throws where float16 has no finite number for one of them; `name` is the tensor's. */
export function checkFitsF16(values: Float32Array, name: string): void {
  const at = values.findIndex((value) => Math.abs(value) >= 65520 && Number.isFinite(value));
  if (at >= 0) throw new Error(`tensor ${name} holds ${values[at]}, and the largest number of f16 is 65504; write it as bf16 or f32`);
}

/** Writes into `out` from `at` on. */
export function fromBf16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length), at = 0): Float32Array {
  const target = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) target[at + i] = bits[i] << 16;
  return out;
}

/** Writes into `out` from `at` on. */
export function fromF16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length), at = 0): Float32Array {
  for (let i = 0; i < bits.length; i++) out[at + i] = f16ToF32(bits[i]);
  return out;
}
