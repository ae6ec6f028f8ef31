/**
 * The model inspector's jobs against numpy, PEFT and real allocations: the numbers of tensors, changes of training and of an adapter, parts that add
 * up to the file, cache bytes as the device hears them, sizes as the GGUF writer makes them, and a vocabulary against its tokenizer.json.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { Inspection, TensorChange, TensorNumbers } from '../../shared/inspection.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { fusedFolder } from '../formats/gguf-testing.ts';
import { writeGguf } from '../formats/gguf.ts';
import { openModelFolder, writeModelFolder } from '../formats/model-folder.ts';
import { openSafetensors, type TensorSource } from '../formats/safetensors.ts';
import { readGguf } from '../formats/testing.ts';
import { numbersOf } from '../inspection/statistics.ts';
import { parseModelConfig } from '../model/config.ts';
import { cacheBytes, createKvCache } from '../model/kv-cache.ts';
import { diffModels, inspectModel, listVocabulary, weighModel } from './inspect-model.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/', import.meta.url));
const LLAMA = join(FIXTURES, 'models', 'llama');
const family = (name: string) => join(FIXTURES, 'families', name);
const golden = JSON.parse(readFileSync(join(FIXTURES, 'inspection.json'), 'utf8')) as {
  numbers: Record<string, TensorNumbers>;
  trained: Record<string, TensorChange>;
  /** By adapter. */
  merged: Record<string, Record<string, TensorChange>>;
};
const place = mkdtempSync(join(tmpdir(), 'attune-inspect-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));
const noDevice = (): never => {
  throw new Error('nothing is to be computed on a device here');
};
const inspect = (folder: string, adapter?: string) => inspectModel({ type: 'inspect', model: { folder, adapter } });
const parameters = ({ parts }: Inspection) => Object.fromEntries(parts.map((part) => [part.part, part.parameters]));

test('numbers and histograms of every tensor are numpy\'s', async () => {
  const counts: [number, number][] = [];
  const found = await weighModel({ type: 'weigh', model: { folder: LLAMA } }, (done, total) => counts.push([done, total]));
  expect(found.map(({ name }) => name).sort()).toEqual(Object.keys(golden.numbers).sort());
  for (const { name, bins, ...ours } of found) {
    const { bins: theirs, ...want } = golden.numbers[name]!;
    expect({ ...ours, nonFinite: 0 }, name).toEqual({ ...ours, nonFinite: 0, count: want.count, zeros: want.zeros, min: want.min, max: want.max });
    for (const key of ['mean', 'std', 'l2'] as const) expect(Math.abs(ours[key]! - want[key]!), `${name} ${key}`).toBeLessThan(1e-9 * want.l2!);
    expect(bins, name).toEqual(theirs);
  }
  expect(counts.at(0)).toEqual([0, found.length]);
  expect(counts.at(-1)).toEqual([found.length, found.length]);
});

test('what is not finite is counted and left out; zeros are counted; a constant has no histogram; a tensor of NaN no numbers', () => {
  const { bins, ...numbers } = numbersOf(Float32Array.of(NaN, 1, 0, -3, Infinity, -0, 2, -Infinity));
  // of 1, 0, −3, −0, 2: mean 0, squares 1 + 9 + 4 = 14
  expect(numbers).toEqual({ count: 8, nonFinite: 3, zeros: 2, min: -3, max: 2, mean: 0, std: Math.sqrt(14 / 5), l2: Math.sqrt(14) });
  expect(bins.reduce((a, b) => a + b, 0)).toBe(5);
  expect([bins[0], bins.at(-1)]).toEqual([1, 1]);
  expect(numbersOf(new Float32Array(4).fill(2))).toMatchObject({ std: 0, min: 2, max: 2, bins: new Array(64).fill(0) });
  expect(numbersOf(Float32Array.of(NaN))).toMatchObject({ nonFinite: 1, min: null, mean: null, std: null, l2: null });
});

test('a trained model against the one it was made from, tensor by tensor as numpy has it', async () => {
  const trained = await trainedModel();
  const { tensors } = await diffModels({ type: 'diff', model: { folder: trained }, other: { folder: LLAMA } }, noDevice, () => {});
  checkChanges(tensors, golden.trained);
  const itself = await diffModels({ type: 'diff', model: { folder: LLAMA }, other: { folder: LLAMA } }, noDevice, () => {});
  expect(itself.tensors.every(({ relative, largest }) => relative === 0 && largest === 0)).toBe(true);
});

test("an adapter against its base is merged on the fly, as PEFT merges it; what it does not touch has not changed", async () => {
  const adapter = join(FIXTURES, 'trl', 'sft-lora', 'final');
  const { tensors } = await diffModels({ type: 'diff', model: { folder: LLAMA, adapter }, other: { folder: LLAMA } }, createReferenceDevice, () => {});
  checkChanges(tensors, golden.merged['trl/sft-lora/final']!);
  expect(tensors.filter(({ relative }) => relative! > 0).map(({ module }) => module.split('.')[1])).toEqual(
    [0, 1].flatMap(() => ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
  );
  const found = await inspect(LLAMA, adapter);
  expect(found.adapter).toEqual({ rank: 4, alpha: 8, modules: ['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'] });
  expect(found.tensors.filter(({ part }) => part === 'adapter')).toHaveLength(28);
  expect(found.tensors.at(-1)).toMatchObject({ part: 'adapter', layer: 1, dtype: 'F32' });
  const weighed = await weighModel({ type: 'weigh', model: { folder: LLAMA, adapter } }, () => {});
  expect(weighed.map(({ name }) => name)).toEqual(found.tensors.map(({ name }) => name));
});

test.each(['peft/dora', 'peft/patterns'])("%s: magnitudes, ranks and alphas of single modules, and a head brought whole are merged as PEFT does", async (name) => {
  const { tensors } = await diffModels({ type: 'diff', model: { folder: LLAMA, adapter: join(FIXTURES, name) }, other: { folder: LLAMA } }, createReferenceDevice, () => {});
  checkChanges(tensors, golden.merged[name]!);
});

test('tensors that one of two models lacks, or has in another shape, are named and not compared', async () => {
  const { tensors } = await diffModels({ type: 'diff', model: { folder: LLAMA }, other: { folder: family('llama-yarn') } }, noDevice, () => {});
  const of = (name: string) => tensors.find((tensor) => tensor.name === name);
  expect(of('model.embed_tokens.weight')).toMatchObject({ found: 'other-shape', relative: null, cosine: null, squares: null });
  const gpt2 = await diffModels({ type: 'diff', model: { folder: LLAMA }, other: { folder: family('gpt2') } }, noDevice, () => {});
  expect(gpt2.tensors.find(({ name }) => name === 'transformer.wte.weight')!.found).toBe('only-other');
  expect(gpt2.tensors.find(({ name }) => name === 'lm_head.weight')!.found).toBe('only-model');
});

test('parts of every family add up to what its file holds', async () => {
  // llama: embedding and head 128·32 each; a layer: q and o 32·32, k and v 16·32, three of 48·32; two norms of 32; and the last
  expect(parameters(await inspect(LLAMA))).toEqual({ embedding: 4096, attention: 2 * 3072, mlp: 2 * 4608, norms: 5 * 32, head: 4096 });
  for (const name of ['gemma3', 'gpt2', 'neox', 'phi3', 'olmo2', 'stablelm', 'mistral', 'qwen2-window', 'mixtral', 'qwen2-moe', 'qwen3-moe']) {
    const found = await inspect(family(name));
    const file = await openSafetensors(join(family(name), 'model.safetensors'));
    await file.close();
    const tied = found.tied ? [...file.tensors.values()].filter((tensor) => tensor.name === 'lm_head.weight') : [];
    const stored = [...file.tensors.values()].filter((tensor) => !tied.includes(tensor));
    expect(found.parts.reduce((sum, part) => sum + part.bytes, 0), name).toBe(stored.reduce((sum, { begin, end }) => sum + end - begin, 0));
    expect(found.parts.find(({ part }) => part === 'norms')!.tensors, name).toBe(found.tensors.filter(({ module }) => /norm|ln_/.test(module)).length);
    expect(found.memory[0]!.bytes, name).toBe(4 * found.parts.reduce((sum, part) => sum + part.parameters, 0));
  }
});

test('of a mixture of experts a token meets those it is routed to, and everything else', async () => {
  const { experts, tensors, parts } = await inspect(family('mixtral'));
  const { num_local_experts: count, num_experts_per_tok: perToken } = JSON.parse(readFileSync(join(family('mixtral'), 'config.json'), 'utf8')) as Record<string, number>;
  const sizes = (of: (name: string) => boolean) => tensors.filter(({ name }) => of(name)).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const [inExperts, elsewhere] = [sizes((name) => name.includes('.experts.')), sizes((name) => !name.includes('.experts.'))];
  expect(experts).toEqual({ count, perToken, activeParameters: elsewhere + (inExperts * perToken!) / count! });
  expect(parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(inExperts + elsewhere);
  expect((await inspect(LLAMA)).experts).toBeNull();
});

test('a mixture in GGUF is told of in its blocks, in which LoRA leaves it', async () => {
  const { experts, tensors, training } = await inspect(join(FIXTURES, 'gguf-mixtures', 'qwen2moe.gguf'));
  expect(experts).toMatchObject({ count: 5, perToken: 3 });
  expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['F32', 'Q8_0', 'Q4_0']));
  const adapter = training.lora.gradients; // f32, as the adapter itself
  expect(training.lora.weights - adapter).toBe(tensors.reduce((sum, { bytes }) => sum + bytes, 0));
});

test('experts that lie fused in a file are told of and compared one by one', async () => {
  const single = family('qwen3-moe');
  const fused = await fusedFolder(place, single);
  expect((await inspect(fused)).parts).toEqual((await inspect(single)).parts);
  const { tensors } = await diffModels({ type: 'diff', model: { folder: fused }, other: { folder: single } }, noDevice, () => {});
  expect(tensors.filter(({ module }) => module.includes('.experts.')).length).toBeGreaterThan(0);
  expect(tensors.every(({ found, relative }) => found === 'both' && relative === 0)).toBe(true);
});

test('the cache takes on the device what is told of it; windows and shared heads count', async () => {
  for (const folder of [LLAMA, family('gemma3'), family('mistral')]) {
    const config = parseModelConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>, folder);
    const device = createReferenceDevice();
    let allocated = 0;
    createKvCache({ ...device, alloc: (length, storage) => ((allocated += 4 * length), device.alloc(length, storage)) }, config, 48);
    expect(cacheBytes(config, 48), folder).toBe(allocated);
  }
  const { cache, contextLength } = await inspect(family('gemma3'));
  // 3 layers of 2 heads of 8, keys and values: full in f32; in f16 two layers keep 6 tokens of the window, one all
  expect(cache).toEqual([{ tokens: contextLength, kept: 3 * 2 * 16 * 4 * 64, windowed: 2 * 16 * 2 * (6 + 6 + 64) }]);
});

test("weights take what the GGUF writer makes of them, and llama.cpp's mixtures what their rules say", async () => {
  const model = await openModelFolder(LLAMA);
  const { memory, tensors } = await inspect(LLAMA);
  const bytes = Object.fromEntries(memory.map((each) => [each.precision, each.bytes]));
  for (const type of ['f32', 'f16', 'bf16', 'q8_0'] as const) {
    const path = join(place, `${type}.gguf`);
    const sources = [...model.tensors.values()].map(({ name, shape }): TensorSource => ({ name, shape, dtype: 'F32', read: () => model.read(name) }));
    await writeGguf(path, { config: model.config, tokenizerFolder: LLAMA, about: { name: 'tiny', baseName: 'tiny', parameters: 1 }, type, tensors: sources });
    const { rope_freqs: _, ...written } = Object.fromEntries([...(await readGguf(path)).tensors].map(([name, { data }]) => [name.replace('.weight', ''), data.length]));
    expect(bytes[type], type).toBe(Object.values(written).reduce((sum, length) => sum + length, 0));
  }
  await model.close();
  // rows of 32 and 48: Q4_0 where 32 divides them, f16 where not (down_proj's 48); the head is Q6_K, whose rows of 32 become Q8_0
  const numbers = (of: (tensor: (typeof tensors)[number]) => boolean) => tensors.filter(of).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const vectors = numbers(({ shape }) => shape.length === 1), down = numbers(({ module }) => module.includes('down_proj')), head = numbers(({ part }) => part === 'head');
  const rest = numbers(() => true) - vectors - down - head;
  expect(bytes.q4_0).toBe(4 * vectors + 2 * down + (head / 32) * 34 + (rest / 32) * 18);
});

test('attention is told as it is: groups, windows by layer, ropes and their scaling', async () => {
  expect((await inspect(LLAMA)).attention).toMatchObject({ heads: 4, kvHeads: 2, headDim: 8, learnedPositions: false, ropes: [{ type: 'llama3' }] });
  const gemma = (await inspect(family('gemma3'))).attention;
  expect(gemma.layers.map(({ window, rope }) => [window, rope])).toEqual([[6, 1], [0, 0], [6, 1]]);
  expect(gemma.ropes).toEqual([{ theta: 1000, type: 'linear', factor: 4, originalContext: null }, { theta: 100, type: 'default', factor: null, originalContext: null }]);
  expect((await inspect(family('gpt2'))).attention).toMatchObject({ learnedPositions: true, ropes: [], rotaryDims: 0, kvHeads: 4 });
  expect((await inspect(family('neox'))).attention).toMatchObject({ rotaryDims: 2, headDim: 8 });
});

test('the vocabulary is the tokenizer\'s: strings, bytes, merges in order, special tokens and what they are for, rows without a token', async () => {
  const { entries, type } = await listVocabulary({ type: 'vocabulary', model: { folder: LLAMA } });
  const json = JSON.parse(readFileSync(join(LLAMA, 'tokenizer.json'), 'utf8')) as { model: { vocab: Record<string, number>; merges: [string, string][] } };
  expect(type).toBe('BPE');
  expect(entries).toHaveLength(128);
  for (const [token, id] of Object.entries(json.model.vocab)) expect(entries[id]!.token).toBe(token);
  expect(entries[2]).toMatchObject({ token: '<|im_end|>', kind: 'special', bytes: null, text: null, roles: expect.arrayContaining(['eos', 'end', 'template']) });
  const space = entries.find(({ token }) => token === 'Ġ')!;
  expect(space).toMatchObject({ kind: 'normal', bytes: '20', text: ' ', merge: null });
  json.model.merges.forEach((pair, rank) => {
    const [left, right] = typeof pair === 'string' ? (pair as string).split(' ') : pair;
    expect(entries[json.model.vocab[left + right!]!]!.merge).toEqual({ left, right, rank });
  });

  const folder = join(place, 'unigram');
  cpSync(LLAMA, folder, { recursive: true });
  cpSync(join(FIXTURES, 'tokenizers', 'unigram.json'), join(folder, 'tokenizer.json'));
  const scored = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as { model: { vocab: [string, number][] } };
  const unigram = await listVocabulary({ type: 'vocabulary', model: { folder } });
  expect(unigram.type).toBe('Unigram');
  for (const [id, [token, score]] of scored.model.vocab.entries()) {
    if (unigram.entries[id]!.kind !== 'special') expect(unigram.entries[id]).toMatchObject({ token, score });
  }
});

/** models/llama as it is after ten steps of training. */
async function trainedModel(): Promise<string> {
  const out = join(place, 'trained');
  const config = JSON.parse(readFileSync(join(LLAMA, 'config.json'), 'utf8')) as Record<string, unknown>;
  const file = await openSafetensors(join(LLAMA, 'expected.safetensors'));
  const after = [...file.tensors.values()].filter(({ name }) => name.startsWith('after.'));
  const tensors = after.map(({ name, shape }): TensorSource => ({ name: name.slice('after.'.length), shape, dtype: 'F32', read: () => file.read(name) }));
  await writeModelFolder(out, { config, generationConfig: null, tensors, copyFrom: LLAMA });
  await file.close();
  return out;
}

function checkChanges(found: TensorChange[], want: Record<string, TensorChange>): void {
  expect(found.map(({ name }) => name).sort()).toEqual(Object.keys(want).sort());
  for (const { name, relative, cosine, largest, found: where } of found) {
    expect(where).toBe('both');
    for (const [key, value] of Object.entries({ relative, cosine, largest })) {
      expect(Math.abs(value! - want[name]![key as 'relative']!), `${name} ${key}`).toBeLessThan(2e-6); // merging rounds to f32
    }
  }
}
