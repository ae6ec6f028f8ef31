/** Languages against the real thing: RegExp over every short string, and numbers against arithmetic. */
import { describe, expect, it } from 'vitest';
import { ConstraintError } from './constraint.ts';
import { multiplesOf, numbersBetween, plainDecimal, wholeNumbers } from './json-schema/numbers.ts';
import { both, contains, languageOf, unicodeSource } from './language.ts';
import { jsonSequences, utf8Sequences } from './utf8.ts';

/** Every string of at most so many of the letters. */
function strings(letters: string[], most: number): string[] {
  const found = [''];
  for (let from = 0, length = 0; length < most; length++) {
    const to = found.length;
    for (; from < to; from++) for (const letter of letters) found.push(found[from] + letter);
  }
  return found;
}

describe('languageOf', () => {
  const words = strings(['a', 'b', 'é', '\n'], 5);
  it.each([
    'a', '^a', 'a$', '^a$', '^(a|b)*$', '^a{2,3}b?$', 'a.b', '^[^a]+$', '^$', '(^a|b$)', '^(?!ab)[ab]+$', 'a(?=b)', '^(?=.*a)(?=.*b).{2,4}$', '^(a(?!b)|b)+?b', '(a|ab)(c|b)?$',
    '^(?:a$|b)', '^\\w+$', '\\S', '^[\\s]', 'a|^b|é$', '^(?:a(?!$)){1,3}', '[^]', 'a{0}b', '\\u{e9}',
  ])('takes what RegExp.test takes: %s', (source) => {
    const regExp = new RegExp(source, 'u');
    let language: ReturnType<typeof languageOf>;
    try {
      language = languageOf(source);
    } catch (error) {
      expect(error).toBeInstanceOf(ConstraintError); // refused is right, too; wrong would not be
      return;
    }
    expect(words.filter((word) => contains(language, word) !== regExp.test(word))).toEqual([]);
  });

  it('reads the escapes of older patterns', () => {
    expect(unicodeSource('^a\\-b\\_[\\-\\w]\\/$')).toBe('^a-b_[\\-\\w]\\/$');
  });
});

describe('numbers', () => {
  const spelled = strings(['-', '0', '1', '2', '9', '.'], 5).filter((text) => /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(text) && !/^-0(\.0*)?$/.test(text));
  it.each([[-1.2, 2], [0, 1], [-20, -1.1], [0.19, 0.9], [9, 1e21], [-Infinity, 12], [1e-7, 2], [-0.02, Infinity], [11, 99.9]])('between %d and %d are those that are, with and without the bounds', (low, high) => {
    for (const lowExcluded of [false, true]) {
      for (const highExcluded of [false, true]) {
        const language = numbersBetween({ low, high, lowExcluded, highExcluded });
        const inside = (value: number) => (lowExcluded ? value > low : value >= low) && (highExcluded ? value < high : value <= high);
        expect(spelled.filter((text) => contains(language, text) !== inside(Number(text)))).toEqual([]);
      }
    }
  });

  it.each([1, 3, 7, 10, 0.1, 0.25, 2.5])('are multiples of %d where dividing says so', (divisor) => {
    const language = both(multiplesOf(divisor)!, numbersBetween({ low: -Infinity, high: Infinity, lowExcluded: false, highExcluded: false }));
    const places = plainDecimal(divisor).split('.')[1]?.length ?? 0;
    const short = spelled.filter((text) => (text.split('.')[1]?.length ?? 0) <= places);
    const isMultiple = (text: string) => Math.abs(Number(text) / divisor - Math.round(Number(text) / divisor)) < 1e-9;
    expect(short.filter((text) => contains(language, text) !== isMultiple(text))).toEqual([]);
  });

  it('are written out', () => {
    expect([1.5e-7, 1e21, -3.25, 0].map(plainDecimal)).toEqual(['0.00000015', '1000000000000000000000', '3.25', '0']);
    expect(contains(wholeNumbers(), '-12')).toBe(true);
  });
});

describe('UTF-8', () => {
  const takes = (sequences: ReturnType<typeof utf8Sequences>, bytes: Uint8Array) =>
    sequences.filter((sequence) => sequence.length === bytes.length && sequence.every(([low, high], i) => low <= bytes[i] && bytes[i] <= high)).length;
  it.each([[0x20, 0x10ffff], [0x7f, 0x801], [0xac00, 0xd7a3], [0x10000, 0x1f601], [0x400, 0x20ac]])('of %d to %d is told once each, and of no other', (low, high) => {
    const sequences = utf8Sequences([[low, high]]);
    const wrong: number[] = [];
    for (let point = 0; point <= 0x10ffff; point += point < 0x3000 ? 1 : 37) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      if (takes(sequences, Buffer.from(String.fromCodePoint(point))) !== (point >= low && point <= high ? 1 : 0)) wrong.push(point);
    }
    expect(wrong).toEqual([]);
  });

  it('inside JSON is what JSON.stringify writes', () => {
    const sequences = jsonSequences([[0, 0xd7ff]]);
    for (let point = 0; point < 0x300; point++) expect([point, takes(sequences, Buffer.from(JSON.stringify(String.fromCodePoint(point)).slice(1, -1)))]).toEqual([point, 1]);
  });
});
