/**
 * How the CUDA device hands work to the driver, on the emulated one: launches gathered in pieces, pieces that come again as graphs, writes and copies merged.
 * The emulated stream runs as late as it may, so that what is overwritten or freed too early shows.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../../scripts/build-cuda.mjs';
import { openModelFolder } from '../../formats/model-folder.ts';
import { type LanguageModel, loadLanguageModel } from '../../model/language-model.ts';
import { createCudaDevice, type CudaDevice } from './cuda.ts';

const driver = (await buildEmulatedDriver()).path;
const STEPS = 8;

async function loaded(device: CudaDevice): Promise<LanguageModel> {
  const folder = await openModelFolder(fileURLToPath(new URL('../../../../fixtures/models/qwen3', import.meta.url)));
  const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none' });
  await folder.close();
  return model;
}

/** Logits of each step, and the driver calls it took: two sequences with a prompt of their own, then a token each. */
async function decoded(device: CudaDevice): Promise<{ logits: Float32Array[]; calls: number[] }> {
  const model = await loaded(device);
  const cache = model.createCache(64);
  const sequences = [cache.open(24), cache.open(30)];
  const prompts = [[1, 5, 9], [1, 3, 2, 7, 7]];
  const logits: Float32Array[] = [], calls: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const before = device.driverCalls();
    logits.push((await model.decode(cache, sequences.map((sequence, s) => ({ sequence, tokens: step === 0 ? prompts[s] : [2 + step + s] })))).slice());
    calls.push(device.driverCalls() - before);
  }
  return { logits, calls };
}

describe('a decode step', () => {
  test('that comes again is one graph, whatever the length of the cache: eight driver calls, and the bits of launches one by one', async () => {
    const [gathered, single] = [await decoded(createCudaDevice('cuda', driver)), await decoded(createCudaDevice('cuda', driver, undefined, 1))];
    expect(gathered.logits).toEqual(single.logits);
    // the transfer, its mark and the launch with the context they go to; two copies back, waiting, and their context
    expect(gathered.calls.slice(3)).toEqual(Array.from({ length: STEPS - 3 }, () => 8));
    for (const calls of single.calls.slice(1)) expect(calls).toBeGreaterThan(100);
  });

  test('of several pieces has as many graphs', async () => {
    const pieces = await decoded(createCudaDevice('cuda', driver, undefined, 16));
    expect(pieces.logits).toEqual((await decoded(createCudaDevice('cuda', driver))).logits);
    expect(new Set(pieces.calls.slice(3)).size).toBe(1);
    expect(pieces.calls.at(-1)).toBeLessThan(20);
  });
});

test('another tensor in the place of one is another argument of the same graph', async () => {
  const device = createCudaDevice('cuda', driver);
  const tensors = Array.from({ length: 3 }, () => device.alloc(300));
  for (let round = 0; round < 9; round++) {
    const x = tensors[round % 3];
    for (let i = 0; i < 5; i++) device.fill(x, round + i / 8, 300);
    expect((await device.read(x)).every((value) => value === round + 4 / 8)).toBe(true);
  }
});

test('more sequences than are remembered still come out right', async () => {
  const device = createCudaDevice('cuda', driver, undefined, 8);
  const [x, one] = [device.alloc(1), device.alloc(1)];
  device.fill(one, 1, 1);
  await device.read(one);
  for (let round = 0; round < 2; round++) {
    for (let sequence = 0; sequence < 160; sequence++) {
      let sum = 0;
      for (let i = 0; i < 8; i++) {
        const add = (sequence >> i) & 1;
        sum = add ? sum + 1 : i;
        if (add) device.axpy(x, one, 1, 1);
        else device.fill(x, i, 1);
      }
      if (!(sequence & 1) && sequence % 40 === 0) expect([...(await device.read(x))]).toEqual([sum]);
    }
  }
});

describe('writes and copies', () => {
  test('that touch each other keep their order', async () => {
    const device = createCudaDevice('cuda', driver);
    const [a, b, c] = [device.alloc(8), device.alloc(8), device.alloc(8)];
    for (let round = 0; round < 4; round++) {
      device.write(a, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8 + round));
      device.copy(b, 0, a, 0, 8); // reads what was written
      device.write(a, Float32Array.of(-1, -2), 3); // over what was read
      device.copy(c, 0, b, 4, 4); // reads what was copied
      device.copy(c, 4, a, 2, 4);
      device.write(b, Float32Array.of(99), 7); // over what was copied from
      expect([...(await device.read(c))]).toEqual([5, 6, 7, 8 + round, 3, -1, -2, 6]);
      expect([...(await device.read(b))]).toEqual([1, 2, 3, 4, 5, 6, 7, 99]);
    }
  });

  test('of more than a piece brings with it arrive, those that are copied on too', async () => {
    const device = createCudaDevice('cuda', driver);
    const [x, y] = [device.alloc(60 * 10_000), device.alloc(60 * 10_000)]; // ten pieces' worth, of which eight can be on their way
    for (let i = 0; i < 60; i++) {
      const data = Float32Array.from({ length: 10_000 }, (_, j) => i + j / 16384);
      device.write(x, data, 10_000 * i);
      data.fill(-1); // it was copied
      for (let j = 0; j < 10; j++) device.copy(y, 10_000 * i + 1000 * j, x, 10_000 * i + 1000 * j, 1000);
    }
    const got = (await device.read(y)) as Float32Array;
    expect(got.findIndex((value, i) => value !== Math.floor(i / 10_000) + (i % 10_000) / 16384)).toBe(-1);
  });
});

test('memory that what waits still reads is given to nobody before', async () => {
  const device = createCudaDevice('cuda', driver);
  const [x, out] = [device.alloc(1000), device.alloc(1000)];
  device.fill(x, 3, 1000);
  device.copy(out, 0, x, 0, 1000);
  device.free(x);
  device.write(device.alloc(1000), new Float32Array(1000).fill(9)); // in x's place
  expect((await device.read(out)).every((value) => value === 3)).toBe(true);
});

test('a grid that no GPU runs is refused by the call itself, and what came before it runs', async () => {
  const device = createCudaDevice('cuda', driver);
  const [x, segments] = [device.alloc(65536), device.alloc(6, 'i32')];
  device.fill(x, 1, 4);
  expect(() => device.attention(x, x, x, x, x, segments, 1, 65536, 65536, 1, 1)).toThrow(/^attention_exact_64: a GPU runs no grid of \d+ x 65536 x 1 blocks of 64 threads/);
  expect([...(await device.read(x, 0, 4))]).toEqual([1, 1, 1, 1]);
});
