/**
 * One suite for every device: the calls of conformance-cases.ts give what the f64 reference gives, write nowhere else, and give the
 * same bits at any thread count; the reference's own backward kernels agree with central differences of its forward ones.
 * The native device runs on the instruction set it chooses itself and, with the slow proofs, once more on each narrower one. The CUDA device runs its kernels emulated (no GPU is
 * needed), which takes half a minute for all: the larger shapes wait for the slow proofs.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { buildEmulatedDriver } from '../../../scripts/build-cuda.mjs';
import { blockCases } from './conformance-blocks.ts';
import { cases as commonCases, createNormal, type Case, type Tensors } from './conformance-cases.ts';
import { expertCases } from './conformance-experts.ts';
import { familyCases } from './conformance-families.ts';
import { createCudaDevice } from './cuda/cuda.ts';
import type { Device, HostArray, Storage, Tensor } from './device.ts';
import { createNativeDevice } from './native.ts';
import { createTfjsDevice } from './tfjs/tfjs.ts';
import { createReferenceDevice, type ReferenceTensor } from './reference.ts';
import { createWebgpuDevice } from './webgpu/webgpu.ts';

const cases = [...commonCases, ...familyCases, ...expertCases, ...blockCases];
/** Elements after the end of every tensor: NaN, to poison what reads them and to show what writes them. */
const GUARD = 19;
/** Central differences in f64, steps of 1e-5: h² ≈ 1e-10 of curvature, 2⁻⁵³ / h ≈ 1e-11 of rounding, and room for steep functions. */
const DIFFERENCE = 1e-6;
const STEP = 1e-5;
/** Inputs whose gradient is checked, of each tensor of a case. */
const SAMPLES = 8;
/** Cases of more elements than this in all are too slow for an emulated GPU every day, and for running there again and again. */
const LARGEST_EMULATED = 40_000;
/** The same for one thread of JavaScript, and for central differences of it, which the larger shapes are too slow for anywhere. */
const LARGEST_IN_JAVASCRIPT = 140_000;
const LARGEST_DIFFERENCED = process.env.ATTUNE_SLOW ? 140_000 : LARGEST_EMULATED;

/** What of Vitest's JSON report is read. */
type Report = {
  numPassedTests: number;
  testResults: { assertionResults: { fullName: string; status: string; failureMessages: string[] }[] }[];
};

type Values = Float32Array | Float64Array | Int32Array | Uint16Array;

const workOf = (c: Case): number => Object.values(c.tensors).reduce((sum, data) => sum + data.length, 0);
const storageOf = (data: HostArray): Storage => (data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'bf16');
const BF16_NAN = 0x7fc0;

function allocate(device: Device, c: Case): Tensors {
  return Object.fromEntries(Object.entries(c.tensors).map(([name, data]) => {
    const guarded = new (data.constructor as Float32ArrayConstructor)(data.length + GUARD);
    guarded.fill(data instanceof Uint16Array ? BF16_NAN : data instanceof Int32Array ? 0 : NaN);
    guarded.set(data as Float32Array);
    const x = device.alloc(guarded.length, storageOf(data));
    device.write(x, guarded);
    return [name, x];
  }));
}

/** Reference tensors are looked into, so that f64 stays f64. */
const valuesOf = async (device: Device, x: Tensor): Promise<Values> => ((x as ReferenceTensor).data ?? (await device.read(x))) as Values;

async function run(device: Device, c: Case): Promise<Record<string, Values>> {
  const tensors = allocate(device, c);
  c.forward(device, tensors);
  c.backward?.(device, tensors);
  const results: Record<string, Values> = {};
  for (const name of Object.keys(c.tensors)) results[name] = (await valuesOf(device, tensors[name])).slice();
  for (const x of Object.values(tensors)) device.free(x);
  return results;
}

/** Throws naming the worst element when two results are further apart than `tolerance` of their size. */
function expectClose(got: Values, want: Values, tolerance: number, absolute: boolean, what: string): void {
  let size = absolute ? 1 : 0;
  for (let i = 0; i < want.length - GUARD; i++) if (Number.isFinite(want[i])) size = Math.max(size, Math.abs(want[i]));
  let worst = { i: -1, error: tolerance * size };
  for (let i = 0; i < want.length; i++) {
    const error = Object.is(got[i], want[i]) || got[i] === want[i] ? 0 : Math.abs(got[i] - want[i]);
    if (error > worst.error || Number.isNaN(error)) worst = { i, error: Number.isNaN(error) ? Infinity : error };
  }
  const where = worst.i >= want.length - GUARD ? ' (past the end of the tensor)' : '';
  const message = `${what}[${worst.i}]${where} is ${got[worst.i]}, the oracle says ${want[worst.i]}; allowed error ${tolerance * size}`;
  expect.soft(worst.i, message).toBe(-1);
}

const oracle = createReferenceDevice(Float64Array);
const wanted = new Map<Case, Promise<Record<string, Values>>>();
const want = (c: Case): Promise<Record<string, Values>> => {
  if (!wanted.has(c)) wanted.set(c, run(oracle, c));
  return wanted.get(c)!;
};

/** A native device on one thread count and instruction set, or why there is none. */
function tryNative(threads: number): Device | string {
  try {
    return createNativeDevice(threads);
  } catch (error) {
    if (process.env.CI) throw error;
    return (error as Error).message;
  }
}

describe('the reference', () => {
  for (const c of cases.filter((c) => c.gradient)) {
    if (workOf(c) > LARGEST_DIFFERENCED) continue;
    test(`differences: ${c.name}`, () => {
      const { output, upstream, inputs } = c.gradient!;
      const tensors = allocate(oracle, c);
      const data = (name: string): Float64Array => (tensors[name] as ReferenceTensor).data as Float64Array;
      const before = Object.fromEntries(Object.values(inputs).map((name) => [name, data(name).slice()]));
      const start = data(output).slice();
      const loss = (): number => {
        data(output).set(start);
        c.forward(oracle, tensors);
        let sum = 0;
        for (let i = 0; i < c.tensors[output].length; i++) sum += data(output)[i] * data(upstream)[i];
        return sum;
      };
      loss();
      c.backward!(oracle, tensors);
      const normal = createNormal(c.name.length);
      for (const [input, gradient] of Object.entries(inputs)) {
        const length = c.tensors[input].length;
        const x = data(input);
        for (let sample = 0; sample < SAMPLES; sample++) {
          let i = 0;
          do i = Math.floor(Math.abs(normal()) * 1e6) % length;
          while (Number.isNaN(x[i])); // rows that nobody sees
          const kept = x[i];
          const h = STEP * Math.max(1, Math.abs(kept));
          x[i] = kept + h;
          const above = loss();
          x[i] = kept - h;
          const below = loss();
          x[i] = kept;
          const numeric = (above - below) / (2 * h);
          const held = before[gradient][i];
          const analytic = data(gradient)[i] - (Number.isNaN(held) ? 0 : held);
          // cancellation of the two losses is an error of their own size
          const allowed = DIFFERENCE * Math.max(1, Math.abs(numeric)) + (Math.abs(above) * 1e-13) / h;
          expect(Math.abs(analytic - numeric), `${gradient}[${i}] is ${analytic}, differences say ${numeric}`).toBeLessThanOrEqual(allowed);
        }
      }
      for (const x of Object.values(tensors)) oracle.free(x);
    });
  }
});

const native = tryNative(1);
// a person's own install, found where Node finds packages (NODE_PATH too); without it there is nothing to test
const tensorflow = await createTfjsDevice('tfjs-node').catch((error: Error) => error.message);
// a graphics card, or the software of Debian's chromium package (vitest.config.ts)
const webgpu = await createWebgpuDevice().catch((error: Error) => error.message);
const emulated = createCudaDevice('cuda', (await buildEmulatedDriver()).path);
const inJavaScript = [createReferenceDevice(), await createTfjsDevice('tfjs-cpu')];
const devices = [...inJavaScript, native, await createTfjsDevice('tfjs-wasm'), tensorflow, webgpu, emulated].filter((device) => typeof device !== 'string');

/** SwiftShader takes seconds to compile a kernel and for what a graphics card does at once: small shapes, and all of them with the slow proofs. */
const SMALL = 6_000;
const casesOf = (device: Device): Case[] => {
  const daily = device === emulated ? LARGEST_EMULATED : device.description.includes('software') ? SMALL : inJavaScript.includes(device) ? LARGEST_IN_JAVASCRIPT : Infinity;
  const most = process.env.ATTUNE_SLOW ? Infinity : daily;
  return cases.filter((c) => workOf(c) <= most);
};

for (const device of devices) {
  describe(device.description, () => {
    test.for(casesOf(device))('$name', async (c) => {
      const [got, expected] = [await run(device, c), await want(c)];
      for (const name of Object.keys(c.tensors)) {
        if (c.scratch?.includes(name)) continue;
        // what is no result is an input, which nobody may touch
        expectClose(got[name], expected[name], c.results[name] ?? 0, c.absolute?.includes(name) ?? false, name);
      }
    });

    test('memory comes zero-filled, is counted, and goes back', async () => {
      const before = device.memory().bytes;
      const x = device.alloc(1000);
      const ids = device.alloc(3, 'i32');
      const bits = device.alloc(5, 'bf16');
      expect([x.storage, x.length, ids.storage, bits.storage]).toEqual(['f32', 1000, 'i32', 'bf16']);
      expect(device.memory().bytes).toBeGreaterThanOrEqual(before + 4 * 1000 + 4 * 3 + 2 * 5);
      expect(device.memory().peakBytes).toBeGreaterThanOrEqual(device.memory().bytes);
      expect(await device.read(x)).toEqual(new Float32Array(1000));
      device.fill(x, NaN, 1000);
      for (const tensor of [x, ids, bits]) device.free(tensor);
      expect(device.memory().bytes).toBe(before);
      const again = device.alloc(1000);
      expect(await device.read(again)).toEqual(new Float32Array(1000));
      device.free(again);
    });

    test('a view is the memory it was cut from, under either storage, and goes with it', async () => {
      const before = device.memory().bytes;
      const x = device.alloc(200);
      const [reals, ids] = [device.view(x, 64, 3), device.view(x, 128, 2, 'i32')];
      expect([reals.storage, reals.length, ids.storage, ids.length]).toEqual(['f32', 3, 'i32', 2]);
      device.write(reals, Float32Array.of(1, 2, 3));
      device.write(ids, Int32Array.of(-7, 2147483647));
      device.axpy(reals, reals, 1, 3);
      expect(await device.read(x, 63, 5)).toEqual(Float32Array.of(0, 2, 4, 6, 0));
      expect(await device.read(ids)).toEqual(Int32Array.of(-7, 2147483647));
      expect(() => device.view(x, 192, 9)).toThrow(/20[01]/);
      const whole = device.alloc(70, 'i32');
      device.write(whole, Int32Array.of(5), 65);
      expect([...(await device.read(device.view(whole, 64, 3, 'i32')))]).toEqual([0, 5, 0]);
      device.free(whole);
      expect(device.memory().bytes).toBe(before + 800);
      device.free(x);
      expect(device.memory().bytes).toBe(before);
    });

    test('write and read take offsets, and read is a copy', async () => {
      const x = device.alloc(6);
      device.write(x, Float32Array.of(1, 2, 3), 2);
      const part = await device.read(x, 1, 3);
      expect(part).toEqual(Float32Array.of(0, 1, 2));
      device.fill(x, 9, 6);
      expect(part).toEqual(Float32Array.of(0, 1, 2));
      expect(await device.read(x, 4)).toEqual(Float32Array.of(9, 9));
      const ids = device.alloc(3, 'i32');
      device.write(ids, Int32Array.of(-2147483648, 7, 2147483647));
      expect(await device.read(ids)).toEqual(Int32Array.of(-2147483648, 7, 2147483647));
      device.free(x);
      device.free(ids);
    });

    test('write takes a view into a larger buffer', async () => {
      const x = device.alloc(2);
      device.write(x, Float32Array.of(1, 2, 3, 4).subarray(1, 3));
      expect(await device.read(x)).toEqual(Float32Array.of(2, 3));
      device.free(x);
    });

    test('bf16 rounds f32 to nearest even', async () => {
      // 1 + 2⁻⁸ lies halfway between 1 (0x3f80, even) and 1 + 2⁻⁷ (0x3f81); 1 + 3·2⁻⁸ halfway between 0x3f81 and 0x3f82 (even).
      const x = device.alloc(7, 'bf16');
      device.write(x, Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -2, Infinity, 3.4028234e38, NaN));
      const bits = await device.read(x);
      expect([...bits.slice(0, 6)]).toEqual([0x3f80, 0x3f82, 0x3f81, 0xc000, 0x7f80, 0x7f80]);
      expect(bits[6] & 0x7fff).toBeGreaterThan(0x7f80);
      device.write(x, Uint16Array.of(0x1234), 1);
      expect((await device.read(x, 1, 1))[0]).toBe(0x1234);
      device.free(x);
    });

    test('what does not fit is refused in a sentence', async () => {
      const x = device.alloc(4);
      expect(() => device.write(x, new Float32Array(5))).toThrow(/4/);
      expect(() => device.write(x, new Float32Array(2), 3)).toThrow(/4/);
      expect(() => device.write(x, new Int32Array(1))).toThrow(/f32/);
      await expect((async () => device.read(x, 2, 3))()).rejects.toThrow(/4/);
      expect(() => device.alloc(2 ** 50)).toThrow(/out of memory.* asked for/);
      device.free(x);
      expect(() => device.fill(x, 1, 1)).toThrow(/freed/);
    });
  });
}

describe('cuda, emulated', () => {
  const one = emulated.alloc(1);
  // every second launch runs its blocks and warps backwards: after n launches, n more and one, each of the last n runs the other way than in the first
  test.for(cases.filter((c) => workOf(c) <= LARGEST_EMULATED))('same bits with blocks and warps in another order: $name', async (c) => {
    const [forwards, , backwards] = [await run(emulated, c), await run(emulated, c), (emulated.fill(one, 0, 1), await run(emulated, c))];
    for (const [name, values] of Object.entries(forwards)) {
      const bytes = (x: Values): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
      expect(bytes(backwards[name]).equals(bytes(values)), name).toBe(true);
    }
  });
});

describe('TensorFlow', () => {
  test.skipIf(typeof tensorflow !== 'string')('is installed', ({ skip }) => skip(tensorflow as string));
});

describe('WebGPU', () => {
  test.skipIf(typeof webgpu !== 'string')('has a graphics card', ({ skip }) => skip(webgpu as string));
});

describe('native', () => {
  if (typeof native === 'string') {
    test('is built', ({ skip }) => skip(`the native device is not built: ${native}`));
    return;
  }
  const devices = [native, createNativeDevice(2), createNativeDevice(3)];

  // The addon chooses its instruction set once, at load: the narrower ones run this suite's native part in processes of their own.
  const sets = ['AVX-512', 'AVX2', 'portable'];
  const own = sets.findIndex((set) => native.description.includes(set));
  const narrower = own < 0 || process.env.ATTUNE_SIMD || !process.env.ATTUNE_SLOW ? [] : sets.slice(own + 1);
  for (const set of narrower) {
    test(`agrees on ${set} too`, async () => {
      const vitest = fileURLToPath(new URL('../../../node_modules/vitest/vitest.mjs', import.meta.url));
      const env = { ...process.env, CI: '1', ATTUNE_SIMD: set.toLowerCase() };
      const folder = await mkdtemp(join(tmpdir(), 'attune-conformance-'));
      try {
        const output = join(folder, 'report.json');
        const args = ['run', fileURLToPath(import.meta.url), '--testNamePattern', '^native', '--reporter', 'json', '--outputFile', output];
        await promisify(execFile)(process.execPath, [vitest, ...args], { env }).catch(() => {}); // the report says what failed
        const report = JSON.parse(await readFile(output, 'utf8')) as Report;
        const failed = report.testResults.flatMap(({ assertionResults }) => assertionResults.filter(({ status }) => status === 'failed'));
        expect(failed.map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join()}`)).toEqual([]);
        expect(report.numPassedTests).toBeGreaterThan(2 * cases.length);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  test.for(cases)('same bits with 1, 2 and 3 threads: $name', async (c) => {
    const bytes = async (device: Device): Promise<string> =>
      Object.entries(await run(device, c)).map(([name, values]) => {
        return `${name} ${Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('latin1')}`;
      }).join();
    const one = await bytes(devices[0]);
    for (const device of devices.slice(1)) expect((await bytes(device)) === one, device.description).toBe(true);
  });
});
