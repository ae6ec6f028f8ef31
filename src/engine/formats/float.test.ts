import { describe, expect, it } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, fromBf16, fromF16, toBf16, toF16 } from './float.ts';

describe('float16', () => {
  it('gives back every one of its 65,536 values', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = f16ToF32(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(f16ToF32(f32ToF16(value)))).toBe(true);
      else if (f32ToF16(value) !== bits) expect.fail(`${bits} came back as ${f32ToF16(value)}`);
    }
  });
  it('has the values of IEEE 754', () => {
    expect(f16ToF32(0x3c00)).toBe(1);
    expect(f16ToF32(0xc000)).toBe(-2);
    expect(f16ToF32(0x7bff)).toBe(65504); // largest
    expect(f16ToF32(0x0400)).toBe(2 ** -14); // smallest normal
    expect(f16ToF32(0x0001)).toBe(2 ** -24); // smallest of all
    expect(f16ToF32(0xfc00)).toBe(-Infinity);
    expect(Object.is(f16ToF32(0x8000), -0)).toBe(true);
  });
  it('rounds half way to even, at every scale', () => {
    expect(f32ToF16(1 + 2 ** -11)).toBe(0x3c00); // between 1 and 1 + 2^-10: even is 1
    expect(f32ToF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
    expect(f32ToF16(1 + 2 ** -11 + 2 ** -20)).toBe(0x3c01);
    expect(f32ToF16(1.5 * 2 ** -24)).toBe(2); // between steps 1 and 2 of the smallest numbers
    expect(f32ToF16(2.5 * 2 ** -24)).toBe(2);
    expect(f32ToF16(2 ** -25)).toBe(0); // half a step: even is zero
    expect(f32ToF16(-(2 ** -25) * 1.001)).toBe(0x8001);
    expect(f32ToF16(65519.99)).toBe(0x7bff);
    expect(f32ToF16(65520)).toBe(0x7c00); // half way past the largest becomes infinity
    expect(f32ToF16(-1e9)).toBe(0xfc00);
    expect(f32ToF16(2 ** -14 - 2 ** -26)).toBe(0x0400); // rounds up from the smallest range into the normal one
  });
});

describe('bfloat16', () => {
  it('gives back every one of its values', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = bf16ToF32(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(bf16ToF32(f32ToBf16(value)))).toBe(true);
      else if (f32ToBf16(value) !== bits) expect.fail(`${bits} came back as ${f32ToBf16(value)}`);
    }
  });
  it('rounds half way to even', () => {
    expect(f32ToBf16(1)).toBe(0x3f80);
    expect(f32ToBf16(1 + 2 ** -8)).toBe(0x3f80); // between 1 and 1 + 2^-7: even is 1
    expect(f32ToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(f32ToBf16(3.4028234663852886e38)).toBe(0x7f80); // the largest float32 is nearest to infinity
  });
});

it('arrays convert as their numbers do', () => {
  const values = Float32Array.from([0, -0, 1.1, -3e-6, 7e-8, 65520, NaN, -Infinity, 1e-40]);
  expect([...toF16(values)]).toEqual([...values].map(f32ToF16));
  expect([...toBf16(values)]).toEqual([...values].map(f32ToBf16));
  expect([...fromF16(toF16(values))]).toEqual([...toF16(values)].map(f16ToF32));
  expect([...fromBf16(toBf16(values))]).toEqual([...toBf16(values)].map(bf16ToF32));
});
