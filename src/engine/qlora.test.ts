/** A QLoRA adapter from disk: it says on which base it was trained, runs on that, and is merged into the numbers that base has. GGUF's blocks as they are stored. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lora } from '../shared/recipe.ts';
import { createNativeDevice } from './device/native.ts';
import { openModelFolder } from './formats/model-folder.ts';
import { readAdapter, writeAdapter } from './formats/peft.ts';
import { asKept } from './formats/weight-blocks.ts';
import { exportModel } from './jobs/export.ts';
import { loadLanguageModel } from './model/language-model.ts';
import { packed, relativeError } from './model/testing.ts';
import { onPolicyBase, openModel, sharesPolicyBase, trainedStorage } from './open-model.ts';
import { createRandom } from './random.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';

const base = resolve(import.meta.dirname, '../../resources/models/attune-base');
const MODULES = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];
const lora = Lora.parse({ r: 4, loraAlpha: 8, targetModules: ['q_proj', 'down_proj'], baseWeights: 'nf4' });
let folder: string, adapter: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'attune-qlora-'));
  adapter = join(folder, 'adapter');
  const random = createRandom(3);
  const numbers = (length: number) => async () => Float32Array.from({ length }, () => 0.05 * random.normal());
  const widths: Record<string, [number, number]> = { [MODULES[0]!]: [256, 256], [MODULES[1]!]: [768, 256] };
  const modules = MODULES.map((name) => ({ name, inFeatures: widths[name]![0], outFeatures: widths[name]![1], a: numbers(4 * widths[name]![0]), b: numbers(4 * widths[name]![1]) }));
  await writeAdapter(adapter, { lora, baseWeights: 'nf4', baseModel: base, modules, score: null });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ABOUT = { baseName: 'attune-base', base: '', method: 'sft', datasets: [], stated: {}, given: {} };
const tokenizer = () => loadTokenizer(base);
const path = () => ({ folder: base, adapter });
const batch = packed([[5, 91, 400, 23, 77, 12, 9]]);
const all = { ...batch, rows: Int32Array.from(batch.tokens, (_, i) => i) };

test('says on which base it was trained, in words of transformers too', async () => {
  expect((await readAdapter(adapter)).baseWeights).toBe('nf4');
  expect(readdirSync(adapter).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'base_weights.json']);
});

test('runs on that base in its blocks, and merged into the numbers of that base answers the same', async () => {
  const [beside, merged, plain] = await Promise.all([
    openModel(createNativeDevice(2), path(), await tokenizer(), { storage: 'bf16-if-stored', trainable: 'none' }),
    openModel(createNativeDevice(2), path(), await tokenizer(), { storage: 'f32', trainable: 'none' }),
    openModel(createNativeDevice(2), { folder: base }, await tokenizer(), { storage: 'f32', trainable: 'none' }),
  ].map(async (opened) => (await opened).model));
  expect(beside!.frozen.get(`${MODULES[0]}.weight`)!.tensor.storage).toBe('nf4');
  expect(beside!.frozen.get('model.embed_tokens.weight')!.tensor.storage).toBe('bf16');
  const [a, b, c] = await Promise.all([beside, merged, plain].map((model) => model!.logits(all)));
  expect(relativeError(a!, b!)).toBeLessThan(1e-5);
  expect(relativeError(a!, c!)).toBeGreaterThan(0.01); // the adapter and the blocks are seen
});

test('is exported merged into the dequantised base, and alone with the name of its base', async () => {
  const out = join(folder, 'merged');
  await exportModel({ type: 'export', model: path(), format: 'safetensors', dtype: 'f32', out, name: 'merged', about: ABOUT }, () => createNativeDevice(1), () => {});
  const [written, stored, own] = [await openModelFolder(out), await openModelFolder(base), await readAdapter(adapter)];
  const name = `${MODULES[0]}.weight`;
  const want = asKept(await stored.read(name), 'nf4');
  const { a, b } = own.tensors.get(MODULES[0]!)!;
  for (let o = 0; o < 256; o++) for (let i = 0; i < 256; i++) for (let r = 0; r < 4; r++) want[o * 256 + i] += 2 * b[o * 4 + r]! * a[r * 256 + i]!;
  expect(relativeError(await written.read(name), want)).toBeLessThan(1e-5);
  expect(await written.read('model.layers.0.mlp.up_proj.weight')).toEqual(asKept(await stored.read('model.layers.0.mlp.up_proj.weight'), 'nf4'));
  expect(await written.read('model.embed_tokens.weight')).toEqual(await stored.read('model.embed_tokens.weight'));
  await Promise.all([written.close(), stored.close()]);
  const alone = join(folder, 'alone');
  await exportModel({ type: 'export', model: path(), format: 'peft', dtype: 'f32', out: alone, name: 'alone', about: ABOUT }, () => createNativeDevice(1), () => {});
  expect((await readAdapter(alone)).baseWeights).toBe('nf4');
});

test('goes on only on the base it was trained on, and stands on a policy only where that is kept alike', async () => {
  const train = async (baseWeights: Lora['baseWeights']) =>
    openModel(createNativeDevice(1), path(), await tokenizer(), { storage: trainedStorage({ lora: { ...lora, baseWeights } }), trainable: 'lora', lora });
  expect((await train('nf4')).model.frozen.get(`${MODULES[0]}.weight`)!.tensor.storage).toBe('nf4');
  await expect(train('q8_0')).rejects.toThrow('the adapter was trained on a base kept as nf4: set lora.baseWeights to nf4');
  const job = (baseWeights: Lora['baseWeights']) => ({ recipe: { lora: { ...lora, baseWeights } }, model: { folder: base } }) as Parameters<typeof onPolicyBase>[0];
  expect(onPolicyBase(job('q8_0'), path())).toBe(true);
  expect(await sharesPolicyBase(job('q8_0'), path())).toBe(false);
  expect(await sharesPolicyBase(job('nf4'), path())).toBe(true);
});

test("a GGUF file's Q8_0 and Q4_0 are kept as they are stored, to the bits of the same numbers in f32", async () => {
  const gguf = resolve(import.meta.dirname, '../../fixtures/gguf/mixed.gguf');
  const ids = packed([[3, 17, 90, 4, 55, 8, 21, 60]]);
  const [kept, wide] = await Promise.all((['stored', 'f32'] as const).map(async (storage) => {
    const opened = await openModelFolder(gguf);
    const device = createNativeDevice(2);
    const model = await loadLanguageModel(device, opened, { storage, trainable: 'none' });
    const dtypes = Object.fromEntries([...opened.tensors.values()].map(({ dtype }, i) => [[...opened.tensors.keys()][i]!, dtype]));
    await opened.close();
    return { dtypes, model, bytes: device.memory().bytes, logits: await model.logits({ ...ids, rows: Int32Array.from(ids.tokens, (_, i) => i) }) };
  }));
  expect(Buffer.from(kept!.logits.buffer).equals(Buffer.from(wide!.logits.buffer))).toBe(true);
  expect(kept!.bytes).toBeLessThan(wide!.bytes);
  for (const [name, dtype] of Object.entries(kept!.dtypes)) {
    const storage = kept!.model.frozen.get(name)!.tensor.storage;
    if (dtype === 'Q8_0' || dtype === 'Q4_0') expect(storage, name).toBe(dtype === 'Q8_0' ? 'int8' : 'q4_0');
    else expect(storage, name).toBe('f32');
  }
});
