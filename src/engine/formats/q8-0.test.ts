import { expect, it } from 'vitest';
import { quantizeQ80 } from './q8-0.ts';

it('gives the bits of the gguf Python package', () => {
  const f = Math.fround;
  const a = Array.from({ length: 32 }, (_, i) => f(f(((i * 37 + 11) % 101) - 50) * f(0.013)));
  const tiny = Array.from({ length: 32 }, (_, i) => (i === 5 ? -1e-6 : 0)); // its scale is too small for float16
  const halves = Array.from({ length: 32 }, (_, i) => (i === 0 ? -127 : (i - 16) * 0.5)); // scale 1: ties round away from zero
  const bits = quantizeQ80(Float32Array.from([...a, ...tiny, ...halves, ...Array<number>(32).fill(0)]));
  // gguf 0.19: quants.quantize(x, GGMLQuantizationType.Q8_0) of the same four rows
  expect(Buffer.from(bits).toString('hex')).toBe(
    '3e1d9dfb59b61472d02e8be947a50361be1c7ad73593f14fac0a68c62481df3d9af8' +
      '00000000000000810000000000000000000000000000000000000000000000000000' +
      '003c81f8f9f9fafafbfbfcfcfdfdfefeffff00010102020303040405050606070708' +
      '00000000000000000000000000000000000000000000000000000000000000000000',
  );
});
