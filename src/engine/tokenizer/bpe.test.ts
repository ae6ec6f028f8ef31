/** Merges by numbers against the library's, on words real and made up. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../random.ts';
import { createMerges } from './bpe.ts';
import { createTokenizer } from './tokenizer.ts';

const root = resolve(import.meta.dirname, '../../..');
const files = ['fixtures/tokenizers/byte-level-llama3.json', 'fixtures/tokenizers/byte-level-digits.json', 'resources/models/attune-base/tokenizer.json', '../shared/assets/tokenizers/qwen3/tokenizer.json'];

type Json = { model: { vocab: Record<string, number>; merges: [string, string][]; [field: string]: unknown } };

/** The library's model and ours, of a tokenizer.json. */
function both(path: string, change: object = {}) {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Json;
  Object.assign(json.model, change);
  json.model.merges = json.model.merges.map((merge) => (typeof merge === 'string' ? ((merge as string).split(' ') as [string, string]) : merge));
  const { model } = new Library(json as object, {});
  return { theirs: (word: string) => model!([word]), ours: createMerges(json.model, model!.tokens_to_ids, model!.vocab), vocab: json.model.vocab };
}

describe.each(files.map((file): [string, string] => [file, resolve(root, file)]))('%s (skipped where it is absent)', (_, path) => {
  it.skipIf(!existsSync(path))('cuts words as the library does', () => {
    const { theirs, ours, vocab } = both(path);
    const random = createRandom(3);
    const tokens = Object.keys(vocab).filter((token) => !token.startsWith('<'));
    const letters = tokens.filter((token) => [...token].length === 1);
    const pick = (from: string[]) => from[random.int(from.length)]!;
    let compared = 0;
    for (let i = 0; i < 3000; i++) {
      const word = i % 3 === 0 ? pick(tokens) + pick(tokens) : Array.from({ length: 1 + random.int(12) }, () => pick(i % 3 === 1 ? letters : tokens.slice(0, 600))).join('');
      const made = ours!(word);
      if (made === null) continue;
      expect(made, word).toEqual(theirs(word));
      compared++;
    }
    expect(compared).toBeGreaterThan(2500);
  });
});

it('takes a word that is a token as it is, where the tokenizer says so', () => {
  const vocab = { a: 0, b: 1, c: 2, ab: 3, bc: 4, abc: 5 };
  const of = (model: object) => createMerges({ vocab, merges: [['b', 'c'], ['a', 'b']], ...model }, new Map(Object.entries(vocab)), Object.keys(vocab))!;
  expect(of({})('abc')).toEqual(['a', 'bc']);
  expect(of({ ignore_merges: true })('abc')).toEqual(['abc']);
  expect(of({ merges: [['b', 'c'], ['a', 'b'], ['b', 'c']] })('abc')).toEqual(['ab', 'c']); // of a pair given twice the last counts
});

it('leaves to the library what is not plain: letters it has not, long words, merges outside the vocabulary, endings of words', () => {
  const vocab = { a: 0, b: 1 };
  const of = (model: object) => createMerges({ vocab, merges: [], ...model }, new Map(Object.entries(vocab)), Object.keys(vocab));
  expect(of({})!('ac')).toBeNull();
  expect(of({})!('a'.repeat(49))).toBeNull();
  expect(of({})!('a'.repeat(48))).toHaveLength(48);
  expect(of({ merges: [['a', 'b']] })!('ab')).toBeNull();
  expect(of({ end_of_word_suffix: '</w>' })).toBeNull();
});

it('gives the ids of long words and of texts without end', () => {
  const path = join(root, 'resources/models/attune-base/tokenizer.json');
  const tokenizer = createTokenizer(JSON.parse(readFileSync(path, 'utf8')) as never, {}, { where: path, eos: [], chatTemplate: null });
  for (const text of ['a'.repeat(5000), 'ㅋ'.repeat(300), '\n'.repeat(100) + ' '.repeat(100), '🙂'.repeat(60)]) expect(tokenizer.decode(tokenizer.encodePlain(text))).toBe(text);
});
