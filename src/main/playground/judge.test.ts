/** The rule that judges answers, by example. */
import { describe, expect, it } from 'vitest';
import { compareJudged, judgeAnswer, MAX_WORDS } from './judge.ts';

describe('judgeAnswer', () => {
  it('gives all five points to a clear, short, well-formed answer', () => {
    expect(judgeAnswer('A dog is a kind of domestic animal.', true)).toEqual({ points: 5, failed: [] });
  });

  it.each([
    ['a dog is an animal.', true, 'starts with a capital letter'],
    ['A dog is an animal', true, 'ends with a full stop'],
    ['A dog is an animal.', false, 'ends by itself'],
    ['A dog is an animal, and a dog is an animal.', true, 'does not repeat itself'],
    [`A ${Array.from({ length: MAX_WORDS }, (_, i) => `word${i}`).join(' ')}.`, true, `has 1 to ${MAX_WORDS} words`],
  ])('takes a point from %j', (answer, finished, failed) => {
    expect(judgeAnswer(answer, finished).failed).toEqual([failed]);
  });

  it('gives an empty answer none of the points of form but the one for not repeating and the one for ending', () => {
    expect(judgeAnswer('', true).points).toBe(2);
  });

  it('accepts Korean, which has no capital letters', () => {
    expect(judgeAnswer('개는 동물이다.', true).points).toBe(5);
  });
});

describe('compareJudged', () => {
  it('is a win for more points, seen from the first', () => {
    const good = judgeAnswer('Yes.', true);
    const poor = judgeAnswer('yes', true);
    expect([compareJudged(good, poor), compareJudged(poor, good), compareJudged(good, good)]).toEqual(['win', 'loss', 'tie']);
  });
});
