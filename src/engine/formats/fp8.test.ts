/** Eight-bit floats against PyTorch, an FP8 folder against transformers (fixtures/fp8), and other kinds of scales against their definition. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReferenceDevice } from '../device/reference.ts';
import { exportModel } from '../jobs/export.ts';
import { loadLanguageModel } from '../model/language-model.ts';
import { packed, relativeError } from '../model/testing.ts';
import { fromF8, type Float8 } from './float.ts';
import { openModelFolder } from './model-folder.ts';

const fixture = (path: string) => fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));
let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-fp8-'))));
afterAll(() => rm(root, { recursive: true }));

type Stored = { dtype: string; shape: number[]; bytes: ArrayLike<number> };
/** A folder of tensors nobody has to understand, F32 given as its bytes. */
async function folderOf(name: string, tensors: Record<string, Stored>, quantization: unknown): Promise<string> {
  const folder = join(root, name);
  await cp(fixture('models/llama'), folder, { recursive: true });
  let end = 0;
  const header = Object.fromEntries(Object.entries(tensors).map(([key, { dtype, shape, bytes }]) => [key, { dtype, shape, data_offsets: [end, (end += bytes.length)] }]));
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => Buffer.from(bytes))]));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')), ...(quantization ? { quantization_config: quantization } : {}) }));
  return folder;
}
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const ONE = 0x38; // 1.0 in E4M3

test('every byte of the three types is the number PyTorch reads', async () => {
  const numbers = JSON.parse(await readFile(fixture('fp8/numbers.json'), 'utf8')) as Record<Float8, string>;
  for (const [type, base64] of Object.entries(numbers) as [Float8, string][]) {
    const expected = new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
    expect(fromF8(type, Uint8Array.from({ length: 256 }, (_, byte) => byte)), type).toEqual(expected);
  }
});

test('a folder scaled by blocks answers as transformers does, which reads the same folder', async () => {
  const { inputIds, logits } = JSON.parse(await readFile(fixture('fp8/expected.json'), 'utf8')) as { inputIds: number[]; logits: number[] };
  const opened = await openModelFolder(fixture('fp8/model'));
  expect(opened.tensors.get('model.layers.0.self_attn.q_proj.weight')!.dtype).toBe('F8_E4M3');
  const model = await loadLanguageModel(createReferenceDevice(), opened, { storage: 'f32', trainable: 'none' });
  await opened.close();
  const got = await model.logits({ ...packed([inputIds]), rows: Int32Array.from(inputIds, (_, i) => i) });
  expect(relativeError(got, logits)).toBeLessThan(1e-5);
  model.free();
});

test('what is made of it is a folder that was never quantised', async () => {
  const folder = join(root, 'source');
  await cp(fixture('models/llama'), folder, { recursive: true });
  await cp(fixture('fp8/model'), folder, { recursive: true });
  const out = join(root, 'exported');
  await exportModel({ type: 'export', model: { folder }, format: 'safetensors', dtype: 'f32', out, name: 'x', about: { baseName: 'x', base: '', method: null, datasets: [], stated: {}, given: {} } }, createReferenceDevice, () => {});
  const [saved, source] = [await openModelFolder(out), await openModelFolder(folder)];
  expect(saved.config).not.toHaveProperty('quantization_config');
  expect([...saved.tensors.keys()].sort()).toEqual([...source.tensors.keys()].sort());
  for (const name of source.tensors.keys()) expect(await saved.read(name), name).toEqual(await source.read(name));
  await Promise.all([saved.close(), source.close()]);
});

test('scales stand for the whole, for a row, or for a block whose last is not whole; scales of activations are left out', async () => {
  const w = { dtype: 'F8_E4M3', shape: [3, 5], bytes: Array(15).fill(ONE) };
  const folder = await folderOf('scales', {
    'a.weight': w, 'a.weight_scale': { dtype: 'F32', shape: [], bytes: floats(3) }, 'a.input_scale': { dtype: 'F32', shape: [1], bytes: floats(9) },
    'b.weight': w, 'b.weight_scale': { dtype: 'F32', shape: [3, 1], bytes: floats(1, 2, 3) },
    'c.weight': { ...w, dtype: 'F8_E5M2', bytes: Array(15).fill(0x3c) }, 'c.weight_scale_inv': { dtype: 'F8_E8M0', shape: [2, 2], bytes: [127, 128, 129, 130] },
    'd.weight': w, 'd.k_scale': { dtype: 'F32', shape: [1], bytes: floats(7) },
  }, { quant_method: 'compressed-tensors', config_groups: { g: { weights: { block_structure: [2, 3] } } } });
  const opened = await openModelFolder(folder);
  expect([...opened.tensors.keys()]).toEqual(['a.weight', 'b.weight', 'c.weight', 'd.weight']);
  expect([...(await opened.read('a.weight'))]).toEqual(Array(15).fill(3));
  expect([...(await opened.read('b.weight'))]).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
  expect([...(await opened.read('c.weight'))]).toEqual([1, 1, 1, 2, 2, 1, 1, 1, 2, 2, 4, 4, 4, 8, 8]);
  expect([...(await opened.read('d.weight'))]).toEqual(Array(15).fill(1));
  await opened.close();
});

test('other quantised folders are refused by what they are', async () => {
  const w = { dtype: 'F8_E4M3', shape: [4, 4], bytes: Array(16).fill(ONE) };
  const scale = (shape: number[]) => ({ dtype: 'F32', shape, bytes: floats(...Array(shape.reduce((a, b) => a * b, 1)).fill(1)) });
  const cases: [string, Record<string, Stored>, unknown, RegExp][] = [
    ['gptq', { 'a.weight': w }, { quant_method: 'gptq', bits: 4 }, /config.json: quantization_config.quant_method is "gptq"; of quantised folders only FP8 is read/],
    ['bnb', { 'a.weight': w }, { quant_method: 'bitsandbytes' }, /"bitsandbytes"/],
    ['int8', { 'a.weight': { ...w, dtype: 'I8' }, 'a.weight_scale': scale([4, 1]) }, { quant_method: 'compressed-tensors' }, /a.weight is I8 with scales/],
    ['grid', { 'a.weight': w, 'a.weight_scale_inv': scale([3, 3]) }, { quant_method: 'fp8', weight_block_size: [128, 128] }, /no blocks of a.weight \[4, 4\] \(128 by 128/],
    ['alone', { 'a.weight_scale': scale([1]) }, { quant_method: 'fp8' }, /scales a.weight, which is missing/],
  ];
  for (const [name, tensors, quantization, message] of cases) await expect(openModelFolder(await folderOf(name, tensors, quantization))).rejects.toThrow(message);
});
