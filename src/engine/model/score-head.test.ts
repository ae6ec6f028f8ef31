/**
 * The score head against transformers' AutoModelForSequenceClassification and PEFT's adapter of one (fixtures/score), its way to disk and back,
 * and its gradient.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { Recipe } from '../../shared/recipe.ts';
import { findCheckpoint, writeCheckpoint } from '../checkpoint.ts';
import type { Batch } from '../data/batch.ts';
import type { Device } from '../device/device.ts';
import { createNativeDevice } from '../device/native.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModelFolder } from '../formats/model-folder.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import { openModel, type OpenOptions } from '../open-model.ts';
import { createAdamW } from '../optim/adamw.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { type LanguageModel, loadLanguageModel } from './language-model.ts';
import { gradients, packed, relativeError, tinyModel } from './testing.ts';

const fixture = (path: string) => fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));
const devices: [string, () => Device][] = [['reference', createReferenceDevice], ['native', () => createNativeDevice(2)]];
const folder = mkdtempSync(join(tmpdir(), 'attune-score-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A family's sequences, each read at its last token. */
function lastTokens(family: string): Batch {
  const { inputIds } = JSON.parse(readFileSync(fixture(`models/${family}/expected.json`), 'utf8')) as { inputIds: number[][] };
  const batch = packed(inputIds);
  return { ...batch, rows: Int32Array.from(batch.segments, ({ start, length }) => start + length - 1) };
}

describe.each(devices)('on the %s device', (_, createDevice) => {
  test.each(['llama', 'qwen3'])('%s: scores and gradients are those of transformers', async (family) => {
    const device = createDevice();
    const expected = await openSafetensors(fixture(`score/${family}.safetensors`));
    const files = await openModelFolder(fixture(`models/${family}`));
    const model = await loadLanguageModel(device, files, { storage: 'f32', trainable: 'all', numLabels: 3 });
    await files.close();
    device.write(model.score!.tensor, await expected.read('score.weight'));
    const forward = await model.forwardScores(lastTokens(family), { gradient: true });
    expect(relativeError(forward.scores, await expected.read('scores'))).toBeLessThan(1e-4);
    model.backwardScores(forward, await expected.read('dscores'));
    const got = await gradients(model);
    for (const name of expected.tensors.keys()) {
      if (name.startsWith('grad.')) expect(relativeError(got.get(name.slice('grad.'.length))!, await expected.read(name)), name).toBeLessThan(1e-4);
    }
    expect(got.has('lm_head.weight')).toBe(false);
    await expected.close();
    model.free();
  });

  test("an adapter PEFT wrote with a head beside it scores as PEFT does", async () => {
    const tokenizer = await loadTokenizer(fixture('models/llama'));
    const path = { folder: fixture('models/llama'), adapter: fixture('score/adapter') };
    const { model, source } = await openModel(createDevice(), path, tokenizer, { storage: 'f32', trainable: 'none' });
    const want = JSON.parse(readFileSync(fixture('score/adapter/scores.json'), 'utf8')) as number[][];
    expect(relativeError((await model.forwardScores(lastTokens('llama'))).scores, want.flat())).toBeLessThan(1e-4);
    expect(source.head).toEqual({ labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'], padTokenId: null });
    model.free();
  });
});

test('the gradient of every parameter is that of its difference quotient, head and adapter included', async () => {
  const device = createReferenceDevice();
  const lora = { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['q_proj', 'down_proj'] };
  const model = await tinyModel(device, { trainable: 'lora', lora, numLabels: 2 });
  const batch = packed([[1, 2, 3, 4], [5, 6, 7]]);
  const at = { ...batch, rows: Int32Array.of(3, 6) };
  const upstream = Float32Array.of(0.5, -1, 2, 0.25);
  const value = async () => (await model.forwardScores(at)).scores.reduce((sum, score, i) => sum + score * upstream[i]!, 0);
  for (const { name, tensor } of model.parameters) if (name.includes('lora_B')) device.write(tensor, Float32Array.from({ length: tensor.length }, (_x, i) => Math.sin(i) / 5));
  const forward = await model.forwardScores(at, { gradient: true });
  model.backwardScores(forward, upstream);
  const got = await gradients(model);
  for (const { name, tensor } of model.parameters) {
    const start = (await device.read(tensor)) as Float32Array;
    const index = start.length >> 1;
    const moved = async (by: number) => {
      device.write(tensor, start.map((x, i) => (i === index ? x + by : x)));
      return value();
    };
    const slope = ((await moved(1e-2)) - (await moved(-1e-2))) / 2e-2;
    device.write(tensor, start);
    expect(Math.abs(got.get(name)![index]! - slope), name).toBeLessThan(2e-3 * Math.max(1, Math.abs(slope)));
  }
});

test('a frozen trunk trains its head alone, and on features kept of it does so to the same numbers', async () => {
  const model = await tinyModel(createReferenceDevice(), { trainable: 'score', numLabels: 2 });
  expect(model.parameters.map(({ name }) => name)).toEqual(['score.weight']);
  const texts = { ...packed([[1, 2, 3, 4], [5, 6, 7]]), rows: Int32Array.of(3, 6) };
  const upstream = Float32Array.of(0.5, -1, 2, 0.25);
  const through = await model.forwardScores(texts, { gradient: true });
  model.backwardScores(through, upstream);
  const want = (await gradients(model)).get('score.weight')!;
  model.zeroGrad();
  const features = await model.features(texts);
  expect(features).toHaveLength(2 * model.config.hiddenSize);
  const kept = await model.scoreFeatures(features, { gradient: true });
  model.backwardScores(kept, upstream);
  expect(kept.scores).toEqual(through.scores);
  expect((await gradients(model)).get('score.weight')).toEqual(want);
});

test('models of one folder stand on the same frozen weights, each with its own adapter and head, and answer as if alone', async () => {
  const device = createReferenceDevice();
  const tokenizer = await loadTokenizer(fixture('models/llama'));
  const path = { folder: fixture('models/llama') };
  const lora = { r: 2, loraAlpha: 4, loraDropout: 0, targetModules: ['q_proj'] };
  const policy = (await openModel(device, path, tokenizer, { storage: 'bf16-if-stored', trainable: 'lora', lora })).model;
  const value: OpenOptions = { storage: 'bf16-if-stored', trainable: 'lora', lora, seed: 1, head: { labels: ['LABEL_0'], padTokenId: null } };
  const alone = (await openModel(device, path, tokenizer, value)).model;
  const beside = (await openModel(device, path, tokenizer, { ...value, shared: policy })).model;
  for (const [name, parameter] of beside.frozen) expect(policy.frozen.get(name), name).toBe(parameter);
  expect(beside.parameters.map(({ name }) => name)).toEqual(alone.parameters.map(({ name }) => name));
  expect((await beside.forwardScores(lastTokens('llama'))).scores).toEqual((await alone.forwardScores(lastTokens('llama'))).scores);
  // a trained adapter goes on top as it is, where alone it would be merged
  const scorer = { folder: path.folder, adapter: fixture('score/adapter') };
  const onTop = (await openModel(device, scorer, tokenizer, { storage: 'bf16-if-stored', trainable: 'none', shared: policy })).model;
  const want = JSON.parse(readFileSync(fixture('score/adapter/scores.json'), 'utf8')) as number[][];
  expect(relativeError((await onTop.forwardScores(lastTokens('llama'))).scores, want.flat())).toBeLessThan(1e-4);
  const before = (await policy.forward(lastTokens('llama'))).logprobs;
  for (const model of [beside, onTop]) model.free();
  expect((await policy.forward(lastTokens('llama'))).logprobs).toEqual(before);
  await expect(openModel(device, path, tokenizer, { storage: 'f32', trainable: 'all', shared: policy })).rejects.toThrow(/shared tensors never change/);
});

describe('on disk', () => {
  const head = { labels: ['bad', 'good'], padTokenId: 0 };
  const recipe = (lora: boolean) => Recipe.parse({ method: 'sft', model: 'm', dataset: 'd', ...(lora && { lora: { r: 2, loraAlpha: 4, targetModules: ['q_proj'] } }) });
  const scoresOf = async (model: LanguageModel) => (await model.forwardScores(lastTokens('llama'))).scores;

  test.each([false, true])('a checkpoint is read back as the same scorer (LoRA: %s)', async (lora) => {
    const device = createReferenceDevice();
    const tokenizer = await loadTokenizer(fixture('models/llama'));
    const base = fixture('models/llama');
    const settings = recipe(lora);
    const { model, source } = await openModel(device, { folder: base }, tokenizer, { storage: 'f32', trainable: lora ? 'lora' : 'all', lora: settings.lora ?? undefined, head });
    const adamw = createAdamW(device, model.parameters, settings.optimizer);
    const run = join(folder, String(lora));
    await writeCheckpoint(run, { model, adamw, state: { step: 1, numTokens: 0, best: null }, told: { seconds: 0, events: [] }, recipe: settings, base: { folder: base, ...source } });
    const { path } = (await findCheckpoint(run))!;
    const again = await openModel(device, lora ? { folder: base, adapter: path } : { folder: path }, tokenizer, { storage: 'f32', trainable: 'none' });
    expect(await scoresOf(again.model)).toEqual(await scoresOf(model));
    expect(again.source.head).toEqual(head);
    expect(again.source.config).toMatchObject({ architectures: ['LlamaForSequenceClassification'], id2label: { 0: 'bad', 1: 'good' }, label2id: { bad: 0, good: 1 }, pad_token_id: 0 });
  });

  test('a scorer writes no text, and another number of labels is refused', async () => {
    const path = { folder: join(folder, 'false/checkpoints/step-000001') };
    const tokenizer = await loadTokenizer(fixture('models/llama'));
    const { model } = await openModel(createReferenceDevice(), path, tokenizer, { storage: 'f32', trainable: 'none' });
    await expect(model.forward(packed([[1, 2]]))).rejects.toThrow(/step-000001: this is a classifier: it scores texts and writes none/);
    const reward = openModel(createReferenceDevice(), path, tokenizer, { storage: 'f32', trainable: 'all', head: { labels: ['LABEL_0'], padTokenId: 0 } });
    await expect(reward).rejects.toThrow(/its score head has 2 labels, 1 are needed/);
  });
});
