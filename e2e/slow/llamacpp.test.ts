/**
 * Every family's tiny random model, and an adapter, through llama.cpp itself: it reads the F32 file and finds what our engine finds. Skipped where
 * node-llama-cpp is not installed (node bench/peers/run.mjs --only llamacpp installs it; ATTUNE_LLAMA_CPP names another place).
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packed } from '../../src/engine/model/testing.ts';
import { createReferenceDevice } from '../../src/engine/device/reference.ts';
import { about, ggufOf, tinyConfigs, tinyFolder } from '../../src/engine/formats/gguf-testing.ts';
import { readGgufAdapter, writeGgufAdapter } from '../../src/engine/formats/gguf-lora.ts';
import { openModelFolder } from '../../src/engine/formats/model-folder.ts';
import type { ReadAdapter } from '../../src/engine/formats/peft.ts';
import { checkLlamaCpp } from '../../src/engine/jobs/llamacpp.ts';
import { loadLanguageModel } from '../../src/engine/model/language-model.ts';
import { createRandom } from '../../src/engine/random.ts';
import { loadTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { findLlamaCpp } from '../../src/main/exports/llamacpp.ts';
import type { ForcedText } from '../../src/shared/job.ts';

const entry = findLlamaCpp();
if (entry === null) console.log('llama.cpp is not asked: node bench/peers/run.mjs --only llamacpp installs it');

const TOKENIZERS = fileURLToPath(new URL('../../fixtures/tokenizers', import.meta.url));

/** Families whose activation llama.cpp looks up in a table of float16: 3 digits, of logits about 7. */
const TABLED = /^(gemma|neox|gpt2)/;
const PROMPT = Array.from({ length: 20 }, (_, i) => (i * 37 + 11) % 290);
const ANSWER = Array.from({ length: 20 }, (_, i) => (i * 53 + 29) % 290);

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-llamacpp-'))));
afterAll(() => rm(root, { recursive: true }));

/** Our engine on the file. */
async function ours(path: string, adapter?: ReadAdapter): Promise<ForcedText> {
  const folder = await openModelFolder(path);
  const model = await loadLanguageModel(createReferenceDevice(), folder, { storage: 'f32', trainable: 'none', adapter });
  await folder.close();
  const batch = packed([[...PROMPT, ...ANSWER]]);
  const { logprobs, best } = await model.forward(batch, { best: true });
  model.free();
  return { text: null, prompt: PROMPT, answer: ANSWER, logprobs: [...logprobs].slice(-ANSWER.length), best: [...best!].slice(-ANSWER.length) };
}

/** The fixture's normalizer is one llama.cpp has not; and it names no end of texts. */
async function withoutNfkc(folder: string): Promise<void> {
  const json = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as { normalizer: { normalizers: { type: string }[] } };
  json.normalizer.normalizers = json.normalizer.normalizers.filter(({ type }) => type !== 'NFKC');
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '</s>', unk_token: '<unk>' }));
}

describe.skipIf(entry === null)('llama.cpp', () => {
  it.each(Object.keys(tinyConfigs))('finds in the F32 file of %s what our engine finds', async (name) => {
    const gguf = await ggufOf(await tinyFolder(root, name), 'f32');
    const result = await checkLlamaCpp({ type: 'llamacpp', entry: entry!, gguf, forced: [await ours(gguf)] }, () => {});
    expect(result.tokens).toBe(ANSWER.length);
    expect(result.maxLogprobDifference).toBeLessThan(TABLED.test(name) ? 0.02 : 2e-4);
    expect(result.sameTokens).toBeGreaterThanOrEqual(TABLED.test(name) ? ANSWER.length - 1 : ANSWER.length);
  }, 120_000);

  // llama.cpp rounds what it multiplies with, too: of blocks to eight bits, and differs by as much in a dense Llama as in a mixture
  it.each(['llama', 'mixtral', 'qwen2-moe', 'qwen3-moe'].flatMap((name) => ([['f16', 0.05], ['bf16', 0.3], ['q8_0', 0.8], ['q4_0', 0.8], ['q4_k_m', 0.8]] as const).map(([type, nats]) => [name, type, nats] as const)))(
    'runs %s in %s, and differs by less than %d nats', async (name, type, nats) => {
      // rows of whole blocks; and all experts for every token, since a router at a tie would choose another
      const experts = name === 'llama' ? {} : { num_experts_per_tok: 8, num_experts: 8, num_local_experts: 8 };
      const wide = { hidden_size: 256, intermediate_size: 256, moe_intermediate_size: 256, shared_expert_intermediate_size: 256, num_hidden_layers: 1 };
      const gguf = await ggufOf(await tinyFolder(join(root, 'types'), name, { ...tinyConfigs[name], ...wide, ...experts }), type);
      const result = await checkLlamaCpp({ type: 'llamacpp', entry: entry!, gguf, forced: [await ours(gguf)] }, () => {});
      expect(result.maxLogprobDifference).toBeLessThan(nats);
      expect(result.sameTokens).toBeGreaterThanOrEqual(0.8 * ANSWER.length);
    }, 120_000);

  it.each([
    ['sentencepiece-bpe', { 'tokenizer.model': 'sentencepiece-bpe.model' }], ['unigram', { 'tokenizer.json': 'unigram.json' }],
    ['byte-level-llama3', { 'tokenizer.json': 'byte-level-llama3.json' }], ['byte-level-digits', { 'tokenizer.json': 'byte-level-digits.json' }],
  ])('cuts texts with the %s tokenizer into the tokens we cut them into', async (name, files) => {
    const folder = await tinyFolder(join(root, 'tokenizers'), 'llama', { ...tinyConfigs.llama, vocab_size: 500 });
    for (const file of ['tokenizer.json', 'tokenizer.model', 'tokenizer_config.json']) await rm(join(folder, file), { force: true });
    for (const [to, from] of Object.entries(files)) await copyFile(join(TOKENIZERS, from), join(folder, to));
    if (name === 'unigram') await withoutNfkc(folder);
    const gguf = await ggufOf(folder, 'f32');
    const tokenizer = await loadTokenizer(folder);
    const { texts } = JSON.parse(await readFile(join(TOKENIZERS, `${name}.ids.json`), 'utf8')) as { texts: string[] };
    const composed = texts.filter((text) => text.normalize('NFC') === text && (name !== 'unigram' || text.trim() === text)); // llama.cpp composes nothing, and cuts unigram's outer spaces
    const forced = composed.map((text): ForcedText => ({ text, prompt: tokenizer.encode(text, { addSpecialTokens: true }), answer: [], logprobs: [], best: [] }));
    const result = await checkLlamaCpp({ type: 'llamacpp', entry: entry!, gguf, forced }, () => {});
    expect(composed.length).toBeGreaterThan(20);
    expect(result).toMatchObject({ texts: composed.length, sameTexts: composed.length });
  }, 120_000);

  it.each(['llama', 'phi3', 'gpt2', 'neox', 'mixtral', 'qwen2-moe', 'qwen3-moe'])('puts an adapter on %s as we do', async (name) => {
    const folder = await tinyFolder(join(root, 'lora'), name);
    const gguf = await ggufOf(folder, 'f32');
    const opened = await openModelFolder(folder);
    const model = await loadLanguageModel(createReferenceDevice(), opened, { storage: 'f32', trainable: 'lora', seed: 3, lora: { r: 4, loraAlpha: 8, loraDropout: 0, targetModules: ['all-linear'] } });
    await opened.close();
    const random = createRandom(9);
    const drawn = (length: number) => Float32Array.from({ length }, () => 0.2 * random.normal());
    const adapter: ReadAdapter = {
      r: 4, loraAlpha: 8, loraDropout: 0, targetModules: [], baseModel: null, baseWeights: 'stored', saved: new Map(), score: null,
      tensors: new Map(model.adapterModules().map((module) => [module.name, { a: drawn(4 * module.inFeatures), b: drawn(4 * module.outFeatures), r: 4, scale: 2, magnitude: null }])),
    };
    const { config } = model;
    model.free();
    const lora = join(root, `${name}-LoRA.gguf`);
    await writeGgufAdapter(lora, { config, adapter, about: about(name), type: 'f32' });
    expect((await readGgufAdapter(lora, config)).tensors).toEqual(adapter.tensors);
    const [plain, forced] = [await ours(gguf), await ours(gguf, adapter)];
    expect(forced.best).not.toEqual(plain.best);
    const result = await checkLlamaCpp({ type: 'llamacpp', entry: entry!, gguf, lora, forced: [forced] }, () => {});
    expect(result.maxLogprobDifference).toBeLessThan(TABLED.test(name) ? 0.02 : 5e-4);
  }, 120_000);
});
