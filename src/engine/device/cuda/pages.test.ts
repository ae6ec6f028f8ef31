/**
 * Memory that grows, on the emulated driver: a cache takes the pages of the tokens it holds, and what is forgotten serves others. An emulated page is 64 KiB
 * (a GPU's 2 MiB), and touching an address without one ends the program, so every kernel that decodes here reads only what was written.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../../scripts/build-cuda.mjs';
import { openModelFolder } from '../../formats/model-folder.ts';
import { loadLanguageModel } from '../../model/language-model.ts';
import type { Device } from '../device.ts';
import { createNativeDevice } from '../native.ts';
import { createCudaDevice } from './cuda.ts';

const driver = (await buildEmulatedDriver()).path;
const PAGE = 64 * 1024;
const FLOATS = PAGE / 4;
const MiB = 2 ** 20;
const filled = (length: number, value: number): Float32Array => new Float32Array(length).fill(value);

describe('a tensor that grows', () => {
  test('takes pages as write and copy reach them, and gives them all back', async () => {
    const device = createCudaDevice('cuda', driver);
    const x = device.alloc(100 * FLOATS, 'f32', true);
    expect(device.memory()).toEqual({ bytes: 0, peakBytes: 0 });
    device.write(x, filled(10, 1), 5 * FLOATS - 5); // over the border of two
    expect(device.memory().bytes).toBe(2 * PAGE);
    const y = device.alloc(FLOATS);
    device.fill(y, 2, FLOATS);
    device.copy(x, 90 * FLOATS, y, 0, FLOATS);
    device.copy(x, 90 * FLOATS, y, 0, 7);
    expect(device.memory().bytes).toBe(4 * PAGE);
    expect(await device.read(x, 5 * FLOATS - 5, 10)).toEqual(filled(10, 1));
    expect(await device.read(x, 90 * FLOATS, FLOATS)).toEqual(filled(FLOATS, 2));
    device.free(x);
    expect(device.memory()).toEqual({ bytes: PAGE, peakBytes: 4 * PAGE });
    expect(() => device.write(x, filled(1, 1))).toThrow('freed');
  });

  test('keeps what is queued when its pages go to another, and may be written again', async () => {
    const device = createCudaDevice('cuda', driver);
    const [x, y, out] = [device.alloc(4 * FLOATS, 'f32', true), device.alloc(4 * FLOATS, 'f32', true), device.alloc(3 * FLOATS)];
    device.write(x, filled(3 * FLOATS, 3));
    device.copy(out, 0, x, 0, 3 * FLOATS);
    device.forget!(x, 10, 3 * FLOATS - 10); // whole pages: the second and the third
    expect(device.memory().bytes).toBe(12 * FLOATS + PAGE);
    device.write(y, filled(FLOATS, 4)); // on a page of x's, while the copy waits
    expect(await device.read(out)).toEqual(filled(3 * FLOATS, 3));
    expect(await device.read(x, 0, FLOATS)).toEqual(filled(FLOATS, 3));
    device.write(x, filled(FLOATS, 5), FLOATS);
    expect([(await device.read(x, FLOATS, FLOATS)), (await device.read(y, 0, FLOATS))]).toEqual([filled(FLOATS, 5), filled(FLOATS, 4)]);
    expect(device.memory()).toEqual({ bytes: 12 * FLOATS + 3 * PAGE, peakBytes: 12 * FLOATS + 3 * PAGE });
  });

  test('says that memory is out where it is written, after what is cached went back; and all goes on once there is some', async () => {
    const device = createCudaDevice('cuda', driver); // of 512 MiB
    const x = device.alloc(300 * MiB, 'f32', true); // more than there is
    device.free(device.alloc(4 * MiB));
    const most = device.alloc(127 * MiB); // which leaves less than 4
    const part = filled(MiB / 4, 1);
    const write = (i: number): void => device.write(x, part, (i * MiB) / 4);
    expect(() => Array.from({ length: 5 }, (_, i) => write(i))).toThrow(/^cuda: out of memory, 1048576 bytes asked for with \d+ of the GPU's 536870912 in use\.$/);
    expect(await device.read(x, 0, MiB / 4)).toEqual(part);
    device.free(most);
    write(20);
    expect(await device.read(x, 5 * MiB, MiB / 4)).toEqual(part);
    device.free(x);
    device.free(device.alloc(120 * MiB)); // spare pages go back, too
  });
});

describe('a cache of keys and values', () => {
  async function decode(device: Device): Promise<{ logits: Float32Array[]; bytes: number[] }> {
    const folder = await openModelFolder(fileURLToPath(new URL('../../../../fixtures/models/qwen3', import.meta.url)));
    const model = await loadLanguageModel(device, folder, { storage: 'f32', trainable: 'none' });
    await folder.close();
    const row = 4 * model.config.numKeyValueHeads * model.config.headDim, tokens = Math.floor(PAGE / row);
    const start = device.memory().bytes;
    const cache = model.createCache(40 * tokens);
    const bytes: number[] = [], logits: Float32Array[] = [];
    const step = async (inputs: Parameters<typeof model.decode>[1]): Promise<void> => {
      logits.push((await model.decode(cache, inputs)).slice());
    };
    const prompt = cache.open(3);
    await step([{ sequence: prompt, tokens: [1, 5, 9] }]);
    bytes.push(device.memory().bytes - start);
    const answers = [cache.open(10 * tokens + 20, prompt), cache.open(20 * tokens, prompt)]; // which share the prompt's rows
    for (let i = 0; i < 4; i++) await step(answers.map((sequence, s) => ({ sequence, tokens: [3 + i + s] })));
    bytes.push(device.memory().bytes - start);
    cache.close(answers[1]);
    const next = cache.open(20 * tokens);
    for (let i = 0; i < 3; i++) await step([{ sequence: answers[0], tokens: [7] }, { sequence: next, tokens: [1, 8] }]);
    bytes.push(device.memory().bytes - start);
    cache.free();
    bytes.push(device.memory().bytes - start);
    return { logits, bytes };
  }

  test('takes the pages of the tokens it holds, of all it may come to none, and decodes as if all were there', async () => {
    const [paged, whole] = [await decode(createCudaDevice('cuda', driver)), await decode(createNativeDevice(1))];
    for (const [i, logits] of paged.logits.entries()) for (const [j, value] of logits.entries()) expect(Math.abs(value - whole.logits[i][j])).toBeLessThan(1e-4);
    // two layers' keys and values take a page each for the prompt, and one more each where the second answer's rows begin; the rest is activations
    expect(paged.bytes.map((bytes) => Math.floor(bytes / PAGE))).toEqual([4, 8, 8, 0]);
    expect(paged.bytes[2] - paged.bytes[3]).toBe(8 * PAGE);
  });
});
