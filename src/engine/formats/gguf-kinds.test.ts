/** Every kind of tokenizer into GGUF, from every form it comes in. That llama.cpp cuts texts alike: e2e/slow/llamacpp.test.ts. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ggufTokenizer } from './gguf-tokenizer.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/tokenizers', import.meta.url));
let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'attune-kinds-'))));
afterAll(() => rm(root, { recursive: true }));

async function folder(name: string, files: Record<string, string | object>): Promise<string> {
  const path = join(root, name);
  await mkdir(path);
  for (const [to, from] of Object.entries(files)) {
    if (typeof from === 'string') await copyFile(join(FIXTURES, from), join(path, to));
    else await writeFile(join(path, to), JSON.stringify(from));
  }
  return path;
}
const entries = async (path: string) => Object.fromEntries(await ggufTokenizer(path, {}, 500)) as Record<string, Record<string, unknown>>;

test('a SentencePiece file alone is enough; unigram with bytes for unknown characters is refused', async () => {
  const bpe = await entries(await folder('sp-bpe', { 'tokenizer.model': 'sentencepiece-bpe.model' }));
  expect(bpe['tokenizer.ggml.model']).toEqual({ string: 'llama' });
  expect((bpe['tokenizer.ggml.tokens']!.strings as string[]).slice(0, 3)).toEqual(['<unk>', '<s>', '</s>']);
  expect([...(bpe['tokenizer.ggml.token_type']!.i32s as Int32Array)].slice(0, 4)).toEqual([2, 3, 3, 4]);
  await expect(entries(await folder('sp-unigram', { 'tokenizer.model': 'sentencepiece-unigram.model' }))).rejects.toThrow(/byte_fallback has no counterpart in llama\.cpp's Unigram/);
});

test('a Unigram tokenizer.json goes with its scores; steps llama.cpp has not are refused', async () => {
  const json = JSON.parse(await readFile(join(FIXTURES, 'unigram.json'), 'utf8')) as { normalizer: { normalizers: object[] } };
  await expect(entries(await folder('nfkc', { 'tokenizer.json': json }))).rejects.toThrow(/its NFKC step has no counterpart in llama\.cpp's Unigram tokenizer/);
  json.normalizer.normalizers.shift();
  const found = await entries(await folder('unigram', { 'tokenizer.json': json, 'tokenizer_config.json': { eos_token: '</s>' } }));
  expect([found['tokenizer.ggml.model'], found['tokenizer.ggml.add_space_prefix'], found['tokenizer.ggml.remove_extra_whitespaces']]).toEqual([{ string: 't5' }, { bool: true }, { bool: true }]);
  expect(found['tokenizer.ggml.merges']).toBeUndefined();
  expect((found['tokenizer.ggml.scores']!.f32s as Float32Array).some((score) => score < -1)).toBe(true);
});

test('a WordPiece tokenizer is refused', async () => {
  await expect(entries(await folder('wordpiece', { 'tokenizer.json': 'wordpiece.json' }))).rejects.toThrow(/its model is "WordPiece"; BPE and Unigram tokenizers can go into a GGUF file/);
});

test("Gemma's split at spaces, of which its normalizer leaves none, is no step of its own", async () => {
  const json = {
    model: { type: 'BPE', byte_fallback: true, unk_token: '<unk>', vocab: { '<unk>': 0, '▁': 1, a: 2, '▁a': 3 }, merges: ['▁ a'] },
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  };
  const found = await entries(await folder('gemma', { 'tokenizer.json': json }));
  expect([found['tokenizer.ggml.model'], found['tokenizer.ggml.add_space_prefix']]).toEqual([{ string: 'llama' }, { bool: false }]);
});

test('the tokenizer of a GGUF file goes into another as it is', async () => {
  const path = fileURLToPath(new URL('../../../fixtures/gguf/mixed.gguf', import.meta.url));
  const found = await ggufTokenizer(path, {}, 128);
  const { 'tokenizer.ggml.pre': pre, 'tokenizer.chat_template': template } = Object.fromEntries(found) as Record<string, unknown>;
  expect([pre, template]).toEqual([{ string: 'gpt-2' }, { string: expect.stringContaining('{% for message') as string }]);
});
