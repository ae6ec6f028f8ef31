import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { BYTE_CHARACTERS, trainBpe } from './train-bpe.ts';

const merges = (texts: string[], count: number) =>
  trainBpe(texts, { vocabSize: 256 + count, specialTokens: [] }).model.merges.map((pair) => pair.join(' '));

describe('trainBpe', () => {
  it('merges the most frequent pair first and counts a merge’s new pairs', () => {
    // low ×5, lower ×2, newest ×6, widest ×3 (Sennrich et al.), each its own text so that no space comes in.
    // e s: 6+3 = 9, s t: 9, tie → the smaller left byte (e < s). Then es t: 9. Then l o: 7, o w: 7, tie → l.
    const texts = [...Array(5).fill('low'), ...Array(2).fill('lower'), ...Array(6).fill('newest'), ...Array(3).fill('widest')];
    expect(merges(texts, 4)).toEqual(['e s', 'es t', 'l o', 'lo w']);
  });

  it('breaks a tie by the smaller left id, then the smaller right id', () => {
    expect(merges(['zb', 'ab', 'aa'], 3)).toEqual(['a a', 'a b', 'z b']);
  });

  it('counts overlapping runs as the field does: aaaa → aa aa', () => {
    expect(merges(['aaaa'], 2)).toEqual(['a a', 'aa aa']);
  });

  it('never merges over a border of the pre-tokenizer', () => {
    // "a b": words "a" and " b" – only Ġ b can merge. "it's": "it", "'s".
    expect(merges(['a b'], 9)).toEqual(['Ġ b']);
    expect(merges(["it's"], 9).sort()).toEqual(["' s", 'i t']);
  });

  it('gives special tokens the first ids, has all 256 bytes and stops when no pair is left', () => {
    const json = trainBpe(['ab'], { vocabSize: 1000, specialTokens: ['<|endoftext|>', '<|im_end|>'] });
    expect(json.model.vocab['<|endoftext|>']).toBe(0);
    expect(json.model.vocab['<|im_end|>']).toBe(1);
    expect(json.added_tokens.map((token) => token.content)).toEqual(['<|endoftext|>', '<|im_end|>']);
    for (const character of BYTE_CHARACTERS) expect(json.model.vocab[character]).toBeTypeOf('number');
    expect(Object.keys(json.model.vocab)).toHaveLength(2 + 256 + 1);
    expect(new Set(Object.values(json.model.vocab)).size).toBe(2 + 256 + 1);
  });

  it('refuses a vocabulary that cannot hold the bytes', () => {
    expect(() => trainBpe([], { vocabSize: 100, specialTokens: ['<eos>'] })).toThrow(/at least 257/);
  });

  it('is read by @huggingface/tokenizers and turns every text back', () => {
    const texts = ['안녕하세요, the cat sat on the mat. 안녕히 가세요!', 'naïve café 🙂\n\n\tif (x) { return 12345; }  end'];
    const tokenizer = new Tokenizer(trainBpe(texts, { vocabSize: 320, specialTokens: ['<eos>'] }) as object, {});
    for (const text of [...texts, 'unseen: 日本語 👩‍👩‍👧 \u0000\u0085 \uFEFF  ']) {
      const { ids } = tokenizer.encode(text);
      expect(tokenizer.decode(ids, { clean_up_tokenization_spaces: false })).toBe(text);
    }
    expect(tokenizer.encode('the cat<eos>').ids.at(-1)).toBe(0);
  });

  it('finds the same merges as the tokenizers package', () => {
    const { bpe } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/text/expected.json'), 'utf8'));
    const { model } = trainBpe([bpe.corpus], { vocabSize: 400, specialTokens: ['<eos>'] });
    expect(model.merges).toHaveLength(400 - 257);
    expect(model.merges).toEqual(bpe.merges);
    expect(Math.max(...Object.values(model.vocab))).toBe(bpe.last);
  });
});
