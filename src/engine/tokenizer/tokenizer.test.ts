import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createDecoder } from './stream.ts';
import { createTokenizer, loadTokenizer } from './tokenizer.ts';
import { trainBpe } from './train-bpe.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const CORPUS = ['the cat sat on the mat\n\n', 'Hello there, hello!\n\nAnswer: 안녕하세요 🙂\n\n'];
const json = () => trainBpe(CORPUS, { vocabSize: 320, specialTokens: ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] });
const config = { eos_token: '<|im_end|>', pad_token: { content: '<|endoftext|>' }, bos_token: null };
const extra = { where: 'tokenizer.json', eos: [], chatTemplate: null };
const tokenizer = createTokenizer(json() as never, config, extra);

describe('encoding', () => {
  it('finds special tokens in text, and none in plain text', () => {
    expect(tokenizer.encode('a<|im_end|>b').map((id) => tokenizer.token(id))).toEqual(['a', '<|im_end|>', 'b']);
    const plain = tokenizer.encodePlain('a<|im_end|>b');
    expect(plain).not.toContain(2);
    expect(tokenizer.decode(plain)).toBe('a<|im_end|>b');
  });

  it('does not depend on where pieces meet', () => {
    const text = 'the cat\n\nHello there<|im_end|>\n\nAnswer: 안녕하세요';
    for (let at = 0; at <= text.length; at++) {
      if (at > text.indexOf('<') && at < text.indexOf('>') + 1) continue; // a border in the control token
      const { ids } = tokenizer.encodePieces([
        { text: text.slice(0, at), loss: false, special: true },
        { text: text.slice(at), loss: true, special: true },
      ]);
      expect(ids).toEqual(tokenizer.encode(text));
    }
  });

  it('gives loss to exactly the tokens that hold some of the text with loss', () => {
    const text = 'the cat\n\nHello 안녕 there';
    const ids = tokenizer.encode(text);
    for (let at = 0; at <= text.length; at++) {
      const { loss } = tokenizer.encodePieces([
        { text: text.slice(0, at), loss: false },
        { text: text.slice(at), loss: true },
      ]);
      // a token carries loss when the tokens up to it reach past the border, in bytes
      const border = Buffer.byteLength(text.slice(0, at));
      let end = 0;
      const expected = ids.map((id) => (end += [...tokenizer.token(id)].length) > border); // byte-level: a character a byte
      expect(loss).toEqual(expected);
    }
  });

  it('lets a token over two borders carry the loss of the middle', () => {
    const [id, ...rest] = tokenizer.encode('the');
    expect(rest).toEqual([]);
    const pieces = ['t', 'h', 'e'].map((text, i) => ({ text, loss: i === 1 }));
    expect(tokenizer.encodePieces(pieces)).toEqual({ ids: [id], loss: [true] });
  });

  it('takes end tokens from the tokenizer, then the other files, each once', () => {
    expect(tokenizer).toMatchObject({ eosIds: [2], padId: 0, bosId: null, prefixIds: [], vocabSize: Math.max(...Object.values(json().model.vocab)) + 1 });
    const other = createTokenizer(json() as never, { eos_token: '<|endoftext|>' }, { ...extra, eos: [0, 7] });
    expect(other.eosIds).toEqual([0, 7, 2]);
  });

  it('decodes nothing to nothing and leaves special tokens out on request', () => {
    expect(tokenizer.decode([])).toBe('');
    const ids = tokenizer.encode('Hello<|im_end|>');
    expect(tokenizer.decode(ids)).toBe('Hello<|im_end|>');
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('Hello');
  });
});

describe('streaming', () => {
  it('never emits half a character and ends with the whole text', () => {
    const text = 'Hello 안녕하세요 🙂👩‍👩‍👧 the cat';
    const decoder = createDecoder(tokenizer);
    const parts = tokenizer.encode(text).map((id) => decoder.push(id));
    expect(parts.filter((part) => part === '').length).toBeGreaterThan(5); // bytes of characters not yet whole
    expect(parts.join('')).not.toContain('\uFFFD');
    expect(parts.join('') + decoder.end()).toBe(text);
  });

  it('shows an unfinished character only at the end', () => {
    const decoder = createDecoder(tokenizer);
    const [first] = tokenizer.encode('🙃'); // a byte of four, or a merge of two
    expect(decoder.push(tokenizer.encode('a')[0])).toBe('a');
    expect(decoder.push(first)).toBe('');
    expect(decoder.end()).toBe('\uFFFD');
  });
});

describe('broken files are refused in one sentence', () => {
  const load = async (content: string) => {
    writeFileSync(join(folder, 'tokenizer.json'), content);
    return loadTokenizer(folder);
  };
  it('with the file, what is wrong and the way out', async () => {
    await expect(loadTokenizer(join(folder, 'none'))).rejects.toThrow(/there is no .*tokenizer\.json/);
    await expect(load('{"model":')).rejects.toThrow(/tokenizer\.json is not valid JSON/);
    await expect(load('{}')).rejects.toThrow(/tokenizer\.json: it has no "model"/);
    await expect(load('{"model":{"type":"BPE","merges":[]}}')).rejects.toThrow(/"model\.vocab" is missing/);
    await expect(load('{"model":{"type":"BPE","vocab":{"a":0}}}')).rejects.toThrow(/"model\.merges" is missing/);
    await expect(load('{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}')).rejects.toThrow(/gives "a" the id -1/);
    await expect(load('{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}')).rejects.toThrow(/merges" number 0 is not a pair: "a".*download it again/);
  });
});

const assets = join(import.meta.dirname, '../../../../shared/assets');
const expected = JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/text/expected.json'), 'utf8'));

describe.skipIf(!existsSync(assets))('real tokenizers (skipped where ../shared/assets is absent)', () => {
  it('encode as the tokenizers package does', async () => {
    for (const name of ['tokenizers/qwen3', 'models/TinyStories-656K-hf']) {
      const real = await loadTokenizer(join(assets, name));
      const rows = expected.texts.filter((row: { folder: string }) => row.folder === name);
      expect(rows).toHaveLength(7);
      for (const { text, ids } of rows) expect(real.encode(text, { addSpecialTokens: true })).toEqual(ids);
    }
  });

  it.each([
    ['qwen3', 'qwen2'],
    ['llama2', 'llama-spm'],
    ['phi-3', 'phi-3'],
  ])("%s encodes llama.cpp's test texts, and streams them back", async (name, vectors) => {
    const real = await loadTokenizer(join(assets, 'tokenizers', name));
    const read = (kind: string) => readFileSync(join(assets, `tokenizers/vectors/ggml-vocab-${vectors}.gguf.${kind}`), 'utf8');
    const texts = read('inp').split('\n__ggml_vocab_test__\n');
    const ids = read('out').split('\n').map((line) => line.split(' ').filter((id) => id !== '').map(Number));
    expect(texts).toHaveLength(47);
    texts.forEach((text, i) => {
      expect(real.encode(text)).toEqual(ids[i]);
      const decoder = createDecoder(real);
      const streamed = ids[i].map((id) => decoder.push(id)).join('') + decoder.end();
      expect(streamed).toBe(real.decode(ids[i]));
      if (!text.startsWith(' ') || name === 'qwen3') expect(streamed).toBe(text);
    });
  });

  it('know their special tokens', async () => {
    expect(await loadTokenizer(join(assets, 'models/TinyStories-656K-hf'))).toMatchObject({ vocabSize: 2048, bosId: 1, eosIds: [2], padId: 0, prefixIds: [1] });
    expect(await loadTokenizer(join(assets, 'tokenizers/qwen3'))).toMatchObject({ vocabSize: 151669, bosId: null, eosIds: [151645], padId: 151643, prefixIds: [] });
  });
});
