/** The sums and cuts behind the token inspector, by hand. */
import { describe, expect, it } from 'vitest';
import { cutAtRanges, entropyTint, samplingDiffers, shownEntropy, tintOf, tokenLabel, visibleText } from './tokens.ts';

describe('tokens', () => {
  it('tints by entropy, surest first', () => {
    expect([0, 0.2, 1, 2, 5].map(entropyTint)).toEqual([0, 1, 2, 3, 4]);
  });

  it('tints by the probability of the token', () => {
    expect([1, 0.95, 0.6, 0.3, 0.1, 0.01].map((p) => tintOf(Math.log(p)))).toEqual([0, 0, 1, 2, 3, 4]);
  });
  it('sums the entropy of the shown alternatives in nats', () => {
    expect(shownEntropy([{ probability: 0.5 }, { probability: 0.5 }, { probability: 0 }])).toBeCloseTo(Math.log(2));
  });
  it('tells whether sampling changed the probabilities', () => {
    const one = { id: 1, text: 'a', probability: 0.4, sampledProbability: 0.4 };
    expect(samplingDiffers([one])).toBe(false);
    expect(samplingDiffers([one, { ...one, sampledProbability: 1 }])).toBe(true);
  });
  it('makes blanks visible', () => {
    expect(visibleText(' the\n')).toBe('␣the⏎');
  });
  it('names the end of turn, which adds no text, by its alternative', () => {
    expect(tokenLabel({ id: 7, text: '', logprob: 0, alternatives: [{ id: 7, text: '<|im_end|>', probability: 1, sampledProbability: 1 }] })).toBe('<|im_end|>');
  });
  it('cuts a token where a mark begins and ends', () => {
    // the token stands at characters 4 to 10 of the answer
    expect(cutAtRanges('abcdef', 4, [[0, 2], [5, 7], [9, 20]])).toEqual([
      { text: 'a', marked: false },
      { text: 'bc', marked: true },
      { text: 'de', marked: false },
      { text: 'f', marked: true },
    ]);
    expect(cutAtRanges('abc', 0, [])).toEqual([{ text: 'abc', marked: false }]);
    expect(cutAtRanges('abc', 10, [[0, 100]])).toEqual([{ text: 'abc', marked: true }]);
  });
});
