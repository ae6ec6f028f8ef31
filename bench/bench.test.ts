/** What the bench promises whoever reads its figures: names, the JSON file, medians, and turns that are taken fairly. Values themselves are not tested. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { alternate, compare, createToyBench, median, timed, type Timed } from './measure.ts';

const run = promisify(execFile);
const bench = (...args: string[]) => run(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], { maxBuffer: 1 << 24 });

test('every figure that was asked for has a name, once', async () => {
  const { stdout } = await bench('--list');
  const names = stdout.trim().split('\n');
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^(peak|gemm|kernels|train|sample|serve|tokenize|import|peers)\.\w+\.\w+(\.\w+)?\.[a-z0-9_]+$/);
  expect(names).toEqual(expect.arrayContaining([
    'peak.fma.1.gflops', 'peak.read.1.gb_per_s', 'gemm.f32.2048.share_of_peak', 'gemm.f32.M_down_dw.share_of_peak', 'gemm.bf16.S_qo_forward.share_of_peak',
    'train.sft.M.tokens_per_s', 'train.sft.M.share_of_peak', 'train.sft.M.peak_bytes', 'train.lora.D.tokens_per_s', 'train.dpo.S.share_of_peak',
    'train.sft.S.T2048.share_of_best', 'train.sft.S.B2.share_of_best', 'train.sft.real.vs_padded', 'train.sft.M.vs_torch', 'train.sft.D.memory_vs_torch',
    'train.sft.real.vs_trl', 'train.dpo.real.vs_trl', 'sample.decode.M.f32.share_of_bandwidth', 'sample.decode32.S.bf16.tokens_per_s',
    'sample.decode.M.q8_0.vs_llamacpp', 'gemm.q8_0.2048.gflops', 'sample.prefill.S.f32.vs_llamacpp', 'sample.decode8.M.f32.vs_llamacpp', 'sample.nsamples8.M.f32.vs_llamacpp', 'import.read.instructions.mb_per_s', 'serve.streams32.base.tokens_per_s', 'sample.mask.M.json_schema.share_of_decode', 'sample.bestof8.M.bf16.over_decode', 'sample.beams4.M.json_schema.tokens_per_s',
  ]));
});

test('--json writes the machine and every value by its name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-bench-'));
  const file = join(folder, 'results.json');
  const { stdout } = await bench('gemm', '--only', 'f32.256', '--threads', '1', '--cpu', '--json', file);
  const { machine, results } = JSON.parse(readFileSync(file, 'utf8')) as { machine: Record<string, unknown>; results: Record<string, number> };
  rmSync(folder, { recursive: true });
  expect(machine).toMatchObject({ threads: 1, node: process.version, timedBy: 'processor seconds' });
  expect(Object.keys(results)).toEqual(['gemm.f32.256.gflops', 'gemm.f32.256.share_of_peak']);
  expect(results['gemm.f32.256.share_of_peak']).toBeGreaterThan(0);
  expect(stdout).toContain('gemm.f32.256.share_of_peak');
});

test('another device is measured against its own fastest product, and what it runs on stands in the file; what takes too long is left out by name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-bench-'));
  const file = join(folder, 'results.json');
  const { stdout } = await bench('gemm', 'train', '--device', 'tfjs-wasm', '--only', 'f32.64', '--json', file);
  const { stdout: slow } = await bench('train', '--device', 'tfjs-wasm', '--only', 'lora.1B', '--budget', '0.001');
  const { machine, results } = JSON.parse(readFileSync(file, 'utf8')) as { machine: Record<string, unknown>; results: Record<string, number> };
  rmSync(folder, { recursive: true });
  expect(machine).toMatchObject({ device: 'tfjs-wasm, TensorFlow.js in WebAssembly' });
  expect(Object.keys(results)).toEqual(['gemm.f32.64.gflops', 'gemm.f32.64.share_of_product']);
  expect(stdout).toMatch(/^\| gemm\.f32\.64 \| [\d.,]+ GFLOP\/s \| \d+ % \|/m);
  expect(slow).toMatch(/^train\.lora\.1B: left out: it would take some .* s here \(--budget 0\.001\)$/m);
});

test('a device that does not exist, and a group that only the processor has, are refused', async () => {
  await expect(bench('gemm', '--device', 'gpu')).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('--device gpu is not one of native, webgpu') as string });
  await expect(bench('serve', '--device', 'tfjs-wasm')).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('on tfjs-wasm there are gemm, train, sample') as string });
});

test('a group that does not exist is told, with those that do', async () => {
  await expect(bench('gem')).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('no group gem; there are peak, gemm') as string });
});

test('works take turns, are warmed up, and give their medians; what times itself is believed', async () => {
  let now = 0;
  const order: string[] = [];
  const work = (name: string, costs: number[]): Timed => () => {
    order.push(name);
    now += costs.length > 1 ? costs.shift()! : costs[0];
  };
  // the first of each is the warm-up; medians of 3 1 2 and of 5 5 5
  const [a, b, c] = await alternate(() => now, [work('a', [100, 3, 1, 2]), work('b', [100, 5]), () => 7], { least: 3, seconds: 0 });
  expect([a, b, c]).toEqual([2, 5, 7]);
  expect(order.join('')).toBe('abababab');
  expect(median([4, 1, 3])).toBe(3);
});

test('runs are repeated until they make the seconds asked for, within bounds', async () => {
  let now = 0, runs = 0;
  const count = async (options: { seconds: number; most?: number }): Promise<number> => {
    runs = 0;
    await alternate(() => now, [() => void (runs++, now += 0.1)], { least: 2, warm: 0, ...options });
    return runs;
  };
  expect(await count({ seconds: 0 })).toBe(2);
  expect(await count({ seconds: 0.95 })).toBe(10); // ten tenths of a second
  expect(await count({ seconds: 100, most: 20 })).toBe(20);
});

test('a ratio is of neighbours, and a share of the yardstick just before and after a run: a machine that slows down changes neither', async () => {
  let now = 0, slowness = 1;
  const work = (seconds: number): Timed => () => void (now += seconds * slowness);
  const drifting = (timed: Timed): Timed => () => {
    slowness *= 1.5;
    return timed();
  };
  const { ratio } = await compare(() => now, drifting(work(2)), work(3), { least: 7, seconds: 0 });
  expect(ratio).toBeCloseTo(1.5, 9);
  const rates = [9, 10, 20, 40, 10]; // the first is the warm-up's
  const { seconds, possible } = await timed(() => now, () => rates.shift()!, () => 2, { least: 3, seconds: 0, warm: 2 });
  expect(seconds).toBe(2);
  expect(possible).toBe(50); // two seconds of (10 + 20) / 2, (20 + 40) / 2 and (40 + 10) / 2: 30, 60 and 50
});

test('a name out of form, a name said twice and a value that is no number are refused', () => {
  const { report } = createToyBench(() => {});
  report('train.sft.M.vs_torch', 1, '×');
  expect(() => report('train.sft.M.vs_torch', 1, '×')).toThrow('reported twice');
  expect(() => report('train.sft', 1, '×')).toThrow('not of the form group.what.size.measure');
  expect(() => report('train.sft.D.vs_torch', NaN, '×')).toThrow('came to NaN');
});
