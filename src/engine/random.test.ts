import { expect, test } from 'vitest';
import { createRandom, deriveSeed, shuffle } from './random.ts';

test('the same seed draws the same numbers, and another seed others', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, createRandom(seed).next);
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(1)).not.toEqual(draw(2 ** 32 + 1));
});

test('a kept state goes on with the very next number', () => {
  const random = createRandom(3);
  random.normal();
  const again = createRandom(random.state());
  expect([again.next(), again.normal(), again.int(10)]).toEqual([random.next(), random.normal(), random.int(10)]);
});

test('uniforms and normals have the moments they should', () => {
  const random = createRandom(11);
  const n = 40000;
  let uniform = 0, mean = 0, square = 0;
  for (let i = 0; i < n; i++) {
    uniform += random.next() / n;
    const x = random.normal();
    mean += x / n;
    square += (x * x) / n;
  }
  // Standard errors at n = 40000: 1/√(12n) = 0.0014, 1/√n = 0.005, √(2/n) = 0.007; five of each.
  expect(Math.abs(uniform - 0.5)).toBeLessThan(0.0072);
  expect(Math.abs(mean)).toBeLessThan(0.025);
  expect(Math.abs(square - 1)).toBeLessThan(0.036);
});

test('shuffle keeps every element and reaches every order alike', () => {
  const counts = new Map<string, number>();
  const random = createRandom(5);
  for (let i = 0; i < 6000; i++) {
    const key = shuffle([1, 2, 3], random).join('');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150); // σ = √(6000·1/6·5/6) ≈ 29
  expect([...shuffle(Int32Array.from([1, 2, 3, 4]), random)].sort()).toEqual([1, 2, 3, 4]);
});

test('derived seeds differ by seed and by name', () => {
  expect(new Set([deriveSeed(1, 'a'), deriveSeed(1, 'b'), deriveSeed(2, 'a'), deriveSeed(2, 'b')]).size).toBe(4);
  expect(deriveSeed(1, 'a')).toBe(deriveSeed(1, 'a'));
});
