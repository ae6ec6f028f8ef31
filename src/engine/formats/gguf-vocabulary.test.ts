/** llama.cpp's own vocabularies and test texts; and that what our writer puts into a file comes back. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTokenizer, loadTokenizer } from '../tokenizer/tokenizer.ts';
import { readGgufMetadata } from './gguf-reader.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { readVocabulary } from './gguf-vocabulary.ts';

const vectors = resolve(import.meta.dirname, '../../../../shared/assets/tokenizers/vectors');
const tokenizerOf = (metadata: Map<string, unknown>) => {
  const { json, config, eos, chatTemplate } = readVocabulary(metadata, 'a.gguf');
  return createTokenizer(json, config, { where: 'a.gguf', eos, chatTemplate });
};

describe.skipIf(!existsSync(vectors))("llama.cpp's vocabularies (skipped where ../shared/assets is absent)", () => {
  test.each(['llama-spm', 'phi-3', 'gpt-2', 'deepseek-coder'])('%s gives the ids of every line', async (name) => {
    const file = join(vectors, `ggml-vocab-${name}.gguf`);
    const tokenizer = tokenizerOf(await readGgufMetadata(file));
    const texts = readFileSync(`${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n');
    const ids = readFileSync(`${file}.out`, 'utf8').split('\n').map((line) => line.split(' ').filter((id) => id !== '').map(Number));
    expect(texts).toHaveLength(47);
    texts.forEach((text, i) => expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids[i]));
  });

  test('gpt-2 gives the ids of the prompts of ggml', async () => {
    const tokenizer = tokenizerOf(await readGgufMetadata(join(vectors, 'ggml-vocab-gpt-2.gguf')));
    const lines = readFileSync(join(vectors, 'gpt-2.txt'), 'utf8').split('\n').filter((line) => line !== '');
    expect(lines.length).toBeGreaterThan(90);
    for (const line of lines) {
      const at = line.lastIndexOf(' => ');
      expect(tokenizer.encode(line.slice(0, at)), line).toEqual(line.slice(at + 4).split(',').map(Number));
    }
  });
});

const fixture = resolve(import.meta.dirname, '../../../fixtures/models/llama');

test("what our writer says of a folder's tokenizer is read back as one that gives the same ids", async () => {
  const entries = await ggufTokenizer(fixture, {}, 128);
  const metadata = new Map(entries.map(([key, value]) => {
    const plain = Object.values(value)[0] as unknown;
    return [key, plain instanceof Int32Array || plain instanceof Float32Array ? [...plain] : plain];
  }));
  const [back, own] = [tokenizerOf(metadata), await loadTokenizer(fixture)];
  for (const text of ['', 'a cat', ' two  spaces\n\nand lines', '<|im_start|>user\nhi<|im_end|>']) {
    expect(back.encode(text, { addSpecialTokens: true })).toEqual(own.encode(text, { addSpecialTokens: true }));
    expect(back.decode(back.encode(text))).toBe(own.decode(own.encode(text)));
  }
  expect(back).toMatchObject({ vocabSize: own.vocabSize, bosId: own.bosId, eosIds: own.eosIds, padId: own.padId, chatTemplate: own.chatTemplate });
});

test('what cannot be read the same way is refused by name', () => {
  const base = new Map<string, unknown>([['tokenizer.ggml.model', 'gpt2'], ['tokenizer.ggml.tokens', ['a', 'b']], ['tokenizer.ggml.merges', []]]);
  const reading = (changes: Record<string, unknown>) => () => readVocabulary(new Map([...base, ...Object.entries(changes).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const)]), 'a.gguf');
  expect(reading({})).not.toThrow();
  expect(reading({ pre: 'tekken' })).toThrow(/a\.gguf: its pre-tokenizer tekken is none of gpt-2, .*use the Hugging Face folder/);
  expect(reading({ model: 'bert' })).toThrow(/its vocabulary is of kind "bert"/);
  expect(reading({ token_type: [1] })).toThrow(/token_type has 1 entries for 2 tokens/);
  expect(reading({ tokens: [1] })).toThrow(/tokens is not a list of strings/);
  expect(reading({ model: 'llama' })).toThrow(/scores is not a list of numbers/);
});
