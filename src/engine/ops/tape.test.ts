import { expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { gatedActivation } from './gated-activation.ts';
import { linear } from './linear.ts';
import { createPool } from './pool.ts';
import { rmsNorm } from './rms-norm.ts';
import { createTape, type Weight } from './tape.ts';

const setup = () => {
  const device = createReferenceDevice();
  const pool = createPool(device);
  return { device, pool };
};

test('a pool allocates nothing after the second step that is as large as any before, whatever comes between', () => {
  const { device, pool } = setup();
  const step = (rows: number) => {
    pool.reserve(rows);
    const [a, b, c] = [pool.take(4), pool.take(100), pool.take(7, 'i32')];
    expect([a, b, c].map(({ length, storage }) => [length, storage])).toEqual([[4 * rows, 'f32'], [100 * rows, 'f32'], [7 * rows, 'i32']]);
    pool.give(b);
    const gradients = [pool.takeFloats(60 * rows), pool.takeFloats(40 * rows)]; // where b was
    [...gradients, a, c].forEach(pool.give);
  };
  step(640);
  step(640);
  const after = device.memory();
  expect(after.bytes).toBeLessThan(4 * 640 * (4 + 100 + 7) * 1.1);
  for (const rows of [1, 99, 640, 500]) step(rows);
  expect(device.memory()).toEqual(after);
  expect(pool.inUse()).toBe(0);
  pool.clear();
  expect(device.memory().bytes).toBe(0);
});

test('what is taken from a pool never overlaps, and what is given back becomes one whole again', async () => {
  const { device, pool } = setup();
  pool.reserve(64);
  const taken = Array.from({ length: 12 }, (_, i) => pool.take(1 + (i % 3)));
  for (const [i, buffer] of taken.entries()) device.fill(buffer, i, buffer.length);
  for (const i of [3, 5, 4, 0, 11, 7]) pool.give(taken[i]!); // holes that meet before, behind, on both sides, and not at all
  const again = Array.from({ length: 7 }, (_, i) => pool.take(1 + (i % 2)));
  for (const buffer of again) device.fill(buffer, 99, buffer.length);
  for (const i of [1, 2, 6, 8, 9, 10]) expect(await device.read(taken[i]!)).toEqual(new Float32Array(64 * (1 + (i % 3))).fill(i));
  for (const i of [1, 2, 6, 8, 9, 10]) pool.give(taken[i]!);
  again.forEach(pool.give);
  pool.reserve(64); // one slab from here on
  const { bytes } = device.memory();
  pool.give(pool.takeFloats(bytes / 4));
  expect(device.memory().bytes).toBe(bytes);
  const small = pool.take(1);
  pool.give(small);
  expect(() => pool.give(small)).toThrow(/given back twice/);
});

test('buffers in use keep the rows they were made for', () => {
  const { pool } = setup();
  pool.reserve(8);
  const held = pool.take(1);
  pool.reserve(2);
  expect(pool.take(1).length).toBe(8); // backward of what is held takes as many
  pool.give(held);
});

test('without recording, a scope keeps only what it returns', () => {
  const { device, pool } = setup();
  pool.reserve(8);
  const tape = createTape(device, pool, false);
  const kept = tape.scope(() => {
    tape.value(4, true);
    return tape.scope(() => (tape.value(2, true), tape.value(3, true)));
  });
  expect(pool.inUse()).toBe(1);
  tape.release([kept]);
  expect(pool.inUse()).toBe(0);
});

test('backward runs last to first, skips what no gradient reaches and gives every buffer back', async () => {
  const { device, pool } = setup();
  pool.reserve(1);
  const weight = (value: number): Weight => {
    const [tensor, grad] = [device.alloc(1), device.alloc(1)];
    device.write(tensor, Float32Array.of(value));
    return { tensor, trained: true, grad };
  };
  const [a, b, unused] = [weight(2), weight(3), weight(5)];
  const layer = (of: Weight) => ({ inFeatures: 1, outFeatures: 1, weight: of, bias: null });
  const tape = createTape(device, pool, true);
  const out = tape.scope(() => {
    const x = tape.value(1, false);
    device.write(x.data, Float32Array.of(7));
    const y = linear(tape, x, layer(a), 1); // 2 · 7 = 14
    linear(tape, y, layer(unused), 1);
    return linear(tape, y, layer(b), 1, { residual: y }); // 14 + 3 · 14 = 56
  });
  expect((await device.read(out.data, 0, 1))[0]).toBe(56);
  out.grad = pool.take(1);
  device.write(out.grad, Float32Array.of(1));
  tape.backward();
  tape.release([out]);
  expect((await device.read(b.grad!))[0]).toBe(14); // d out / d b = y
  expect((await device.read(a.grad!))[0]).toBe(28); // d out / d y · x = (1 + 3) · 7
  expect((await device.read(unused.grad!))[0]).toBe(0);
  expect(pool.inUse()).toBe(0);
});

test('outputs of norms and gates are not kept for backward but made again, and the gradients are those of kept ones', async () => {
  const gradients = async (keep: boolean) => {
    const { device, pool } = setup();
    pool.reserve(1);
    const weight = (values: number[]): Weight => {
      const [tensor, grad] = [device.alloc(values.length), device.alloc(values.length)];
      device.write(tensor, Float32Array.from(values));
      return { tensor, trained: true, grad };
    };
    const [norm, gate, up, down] = [[1, 2], [0.3, -0.2], [0.5, 0.4], [0.7, 0.1]].map(weight) as [Weight, Weight, Weight, Weight];
    const tape = createTape(device, pool, true);
    if (keep) tape.remake = () => {};
    const out = tape.scope(() => {
      const x = tape.value(2, false);
      device.write(x.data, Float32Array.of(3, 4));
      const normed = rmsNorm(tape, x, norm, 1, 2, 0);
      const narrow = (of: Weight) => linear(tape, normed, { inFeatures: 2, outFeatures: 1, weight: of, bias: null }, 1);
      const mixed = gatedActivation(tape, narrow(gate), narrow(up), 1, 'silu');
      return linear(tape, mixed, { inFeatures: 1, outFeatures: 2, weight: down, bias: null }, 1);
    });
    const held = pool.inUse();
    out.grad = pool.take(2);
    device.write(out.grad, Float32Array.of(1, -1));
    tape.backward();
    tape.release([out]);
    expect(pool.inUse()).toBe(0);
    return { held, gradients: await Promise.all([norm, gate, up, down].map(({ grad }) => device.read(grad!))) };
  };
  const [kept, remade] = [await gradients(true), await gradients(false)];
  expect(kept.held).toBe(7); // x, rstd, normed, gate, up, mixed, out
  expect(remade.held).toBe(5);
  expect(remade.gradients).toEqual(kept.gradients);
});
