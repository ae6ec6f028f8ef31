/** Choosing among answers, and the curve against every choice of n gone through one by one. */
import { describe, expect, it } from 'vitest';
import { createRandom } from '../random.ts';
import { type Choosable, choices, choose, curveOf, curveSizes, extractAnswer } from './best-of.ts';

const scored = (...scores: (number | null)[]): Choosable[] => scores.map((score, i) => ({ score, vote: null, correct: i % 2 === 0 }));
const voted = (...votes: [string | null, number][]): Choosable[] => votes.map(([vote, score]) => ({ vote, score: vote === null ? null : score, correct: vote === 'a' }));

describe('choose', () => {
  it('takes the highest score, the earliest on a tie', () => {
    expect(choose(scored(0.1, 0.7, 0.7, -1), 'score')).toBe(1);
    expect(choose(scored(null, -3), 'score')).toBe(1);
  });

  it('takes what most voted for, by weight where votes weigh, and nothing where nobody voted', () => {
    expect(choose(voted(['b', 1], ['a', 1], ['a', 1], [null, 1]), 'vote')).toBe(1);
    expect(choose(voted(['b', 5], ['a', 1], ['a', 1]), 'vote')).toBe(0);
    expect(choose(voted([null, 1], [null, 1]), 'vote')).toBeNull();
  });
});

describe('curveOf', () => {
  it('is, by score, the mean over every choice of n', () => {
    const { normal } = createRandom(3);
    const answers = scored(...Array.from({ length: 9 }, () => Math.round(normal() * 2))); // rounded, so that there are ties
    for (const { n, score, correct } of curveOf(answers, 'score', 0)) {
      const best = choices(9, n, 0).map((some) => some.map((i) => answers[i])).map((some) => some[choose(some, 'score')!]);
      expect(score).toBeCloseTo(best.reduce((sum, one) => sum + one.score!, 0) / best.length, 10);
      expect(correct).toBeCloseTo(best.filter((one) => one.correct).length / best.length, 10);
    }
  });

  it('is, by vote, the share of the winner and how often it is right', () => {
    // of two out of a, a, b: aa (share 1, right), ab twice (a tie of one half each; the earliest is a, right)
    const [one, two, all] = curveOf(voted(['a', 1], ['a', 1], ['b', 1]), 'vote', 0);
    expect([one.n, two.n, all.n]).toEqual([1, 2, 3]);
    expect([one.score, one.correct]).toEqual([1, 2 / 3]);
    expect(two.score).toBeCloseTo(2 / 3, 12);
    expect(two.correct).toBe(1);
    expect(all).toEqual({ n: 3, score: 2 / 3, correct: 1 });
  });

  it('takes a seeded sample where there are too many choices', () => {
    expect(choices(30, 8, 5)).toHaveLength(400);
    expect(choices(30, 8, 5)).toEqual(choices(30, 8, 5));
    expect(choices(5, 2, 0)).toHaveLength(10);
    expect(curveSizes(12)).toEqual([1, 2, 4, 8, 12]);
  });
});

it('extracts what votes', () => {
  expect(extractAnswer('So the answer is  42.', /answer is\s+(\d+)/u)).toBe('42');
  expect(extractAnswer('  Yes,\n it is ', null)).toBe('yes, it is');
  expect(extractAnswer('none', /\d/u)).toBeNull();
  expect(() => extractAnswer(`${'a'.repeat(40)}b`, /^(a+)+$/u)).toThrow(/the pattern .* took longer than 1000 ms on "a+b": write it without/);
});
