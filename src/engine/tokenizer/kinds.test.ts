/** Every kind of tokenizer against the tokenizers and sentencepiece packages: fixtures/tokenizers (fixtures/README.md), every text's ids. */
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { sentencePieceTokenizer } from './sentencepiece.ts';
import { createTokenizer, loadTokenizer } from './tokenizer.ts';

const fixtures = resolve(import.meta.dirname, '../../../fixtures/tokenizers');
const read = async (name: string) => JSON.parse(await readFile(join(fixtures, name), 'utf8')) as Record<string, unknown>;
type Expected = { texts: string[]; ids: number[][]; decoded: string[] };

test.each(['unigram', 'wordpiece', 'byte-level-digits', 'byte-level-llama3'])('%s gives the ids and texts of the tokenizers package', async (name) => {
  const { texts, ids, decoded } = (await read(`${name}.ids.json`)) as Expected;
  const tokenizer = createTokenizer(await read(`${name}.json`), {}, { where: name, eos: [], chatTemplate: null });
  texts.forEach((text, i) => {
    expect(tokenizer.encode(text, { addSpecialTokens: true }), JSON.stringify(text)).toEqual(ids[i]);
    expect(tokenizer.decode(ids[i]!, { skipSpecialTokens: true }), JSON.stringify(text)).toBe(decoded[i]);
  });
});

test.each(['sentencepiece-bpe', 'sentencepiece-unigram'])('%s, a folder with tokenizer.model alone, gives the ids and texts of sentencepiece', async (name) => {
  const { texts, ids, decoded } = (await read(`${name}.ids.json`)) as Expected;
  const folder = await mkdtemp(join(tmpdir(), 'attune-pieces-'));
  try {
    await copyFile(join(fixtures, `${name}.model`), join(folder, 'tokenizer.model'));
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer).toMatchObject({ bosId: 1, eosIds: [2], padId: null, prefixIds: [1] });
    texts.forEach((text, i) => {
      expect(tokenizer.encodePlain(text), JSON.stringify(text)).toEqual(ids[i]); // sentencepiece knows no control tokens in texts
      expect(tokenizer.decode(ids[i]!), JSON.stringify(text)).toBe(decoded[i]);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every step before the merges gives the ids of the tokenizers package', async () => {
  const base = await read('byte-level-digits.json');
  const { texts, steps } = (await read('steps.ids.json')) as { texts: string[]; steps: { normalizer: unknown; pre_tokenizer: unknown; ids: number[][] }[] };
  for (const { normalizer, pre_tokenizer, ids } of steps) {
    const tokenizer = createTokenizer({ ...base, normalizer, pre_tokenizer }, {}, { where: 'steps', eos: [], chatTemplate: null });
    texts.forEach((text, i) => expect(tokenizer.encode(text), `${JSON.stringify(text)} by ${JSON.stringify(normalizer ?? pre_tokenizer)}`).toEqual(ids[i]));
  }
});

test('an added token that is a single word is found where it is one', async () => {
  const json = await read('byte-level-digits.json');
  const added = [{ id: 400, content: 'foo', single_word: true, lstrip: false, rstrip: false, normalized: false, special: false }];
  const tokenizer = createTokenizer({ ...json, added_tokens: [...(json.added_tokens as object[]), ...added] }, {}, { where: 'added', eos: [], chatTemplate: null });
  for (const text of ['foo', 'a foo b', '-foo-', '(foo)']) expect(tokenizer.encode(text), text).toContain(400);
  for (const text of ['afoo', 'foos', '한foo', 'foo_']) expect(tokenizer.encode(text), text).not.toContain(400);
});

test('a table of characters gives the ids of sentencepiece; one that is damaged is refused by name, and spaces as suffixes are', async () => {
  const { texts, ids } = (await read('sentencepiece-rules.ids.json')) as Expected;
  const whole = await readFile(join(fixtures, 'sentencepiece-rules.model'));
  const { json, config } = sentencePieceTokenizer(whole, {}, 'rules.model');
  const tokenizer = createTokenizer(json, config, { where: 'rules.model', eos: [], chatTemplate: null });
  texts.forEach((text, i) => expect(tokenizer.encodePlain(text), JSON.stringify(text)).toEqual(ids[i]));
  const damaged = JSON.parse(JSON.stringify(json)) as { normalizer: { normalizers: { precompiled_charsmap?: string }[] } };
  damaged.normalizer.normalizers[0]!.precompiled_charsmap = Buffer.from([255, 255, 255, 127, 1]).toString('base64');
  expect(() => createTokenizer(damaged as never, config, { where: 'rules.model', eos: [], chatTemplate: null })).toThrow('rules.model: precompiled_charsmap is damaged');
  // field 2 of the model, the trainer's settings; its field 24
  expect(() => sentencePieceTokenizer(Buffer.concat([Buffer.from([18, 3, 0xc0, 1, 1]), whole]), {}, 'suffix.model')).toThrow('suffix.model: treat_whitespace_as_suffix is on');
});

test('a tokenizer.model cut anywhere is read, or refused in a sentence that names it', async () => {
  const whole = await readFile(join(fixtures, 'sentencepiece-bpe.model'));
  for (let length = 0; length < whole.length; length += 13) {
    try {
      sentencePieceTokenizer(whole.subarray(0, length), {}, 'a/tokenizer.model');
    } catch (error) {
      expect((error as Error).message).toMatch(/^a\/tokenizer\.model: /);
    }
  }
});
