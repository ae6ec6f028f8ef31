/** Sampling against exact distributions: what is kept, in what share it is drawn, and what log-prob is reported. */
import { describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { createRandom } from '../random.ts';
import { sampleToken } from './sample.ts';

/** softmax of these is 0.5, 0.25, 0.125, 0.125 */
const logits = () => Float32Array.from([0.5, 0.25, 0.125, 0.125], Math.log);

function shares(settings: Partial<Sampling>, draws = 20000): number[] {
  const sampling = Sampling.parse(settings);
  const random = createRandom(7);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < draws; i++) counts[sampleToken(logits(), [], sampling, random.next).id]++;
  return counts.map((count) => count / draws);
}

/** Pearson's statistic of observed shares against expected ones; cells expected empty must be empty. */
function chiSquare(observed: number[], expected: number[], draws = 20000): number {
  return observed.reduce((sum, share, i) => {
    if (expected[i] === 0) return share === 0 ? sum : Infinity;
    return sum + (draws * (share - expected[i]) ** 2) / expected[i];
  }, 0);
}

describe('sampleToken', () => {
  // 16.27 is the 0.999 quantile of chi-square with 3 degrees of freedom: a right sampler with this seed stays below it
  it.each([
    ['plain', {}, [0.5, 0.25, 0.125, 0.125]],
    // p^(1/T) with T = 0.5 squares: 0.25, 0.0625, 0.015625 twice → over 0.34375
    ['temperature 0.5', { temperature: 0.5 }, [0.727273, 0.181818, 0.0454545, 0.0454545]],
    ['top-k 2', { topK: 2 }, [2 / 3, 1 / 3, 0, 0]],
    // 0.5 + 0.25 = 0.75 < 0.8, so the third (lower id of the tie) is needed: 0.875 in all
    ['top-p 0.8', { topP: 0.8 }, [4 / 7, 2 / 7, 1 / 7, 0]],
    // below 0.3 × 0.5 = 0.15 goes
    ['min-p 0.3', { minP: 0.3 }, [2 / 3, 1 / 3, 0, 0]],
  ])('draws from the exact distribution: %s', (_, settings, expected) => {
    expect(chiSquare(shares(settings), expected)).toBeLessThan(16.27);
  });

  it('is greedy at temperature 0, the lowest id on a tie', () => {
    const sampling = Sampling.parse({ temperature: 0 });
    expect(sampleToken(Float32Array.of(1, 3, 3), [], sampling, Math.random).id).toBe(1);
  });

  it("reports the model's own log-prob, whatever the filters did", () => {
    const sampling = Sampling.parse({ temperature: 0, repetitionPenalty: 5, topK: 1 });
    // logits are log-probs here; id 0 is penalised (negative logits are multiplied): −0.69 × 5 = −3.47, so id 1 wins with its own log 0.25
    const { id, logprob } = sampleToken(logits(), [0], sampling, Math.random);
    expect(id).toBe(1);
    expect(logprob).toBeCloseTo(Math.log(0.25), 6);
  });

  it('penalises a seen token once, however often it was seen', () => {
    const sampling = Sampling.parse({ temperature: 0, repetitionPenalty: 1.5 });
    // 3 / 1.5 = 2 stays above 1.9; penalised twice it would be 1.33 and lose
    expect(sampleToken(Float32Array.of(3, 1.9), [0, 0, 0], sampling, Math.random).id).toBe(0);
  });

  it('tells the likeliest tokens with their own probability and the one they are drawn with', () => {
    const told = (settings: Partial<Sampling>, seen: number[] = []) =>
      sampleToken(logits(), seen, Sampling.parse(settings), () => 0, 3).alternatives.map(({ id, probability, sampledProbability }) => [id, probability.toFixed(4), sampledProbability.toFixed(4)]);
    // two candidates left; at temperature 0.5 their shares are squared: 0.25 and 0.0625 of 0.3125
    expect(told({ topK: 2, temperature: 0.5 })).toEqual([[0, '0.5000', '0.8000'], [1, '0.2500', '0.2000'], [2, '0.1250', '0.0000']]);
    expect(told({ temperature: 0 })).toEqual([[0, '0.5000', '1.0000'], [1, '0.2500', '0.0000'], [2, '0.1250', '0.0000']]);
    // the penalty doubles log 0.5 of token 0: 0.25 of 0.75 in all, like token 1; its own probability stays
    expect(told({ repetitionPenalty: 2 }, [0])).toEqual([[0, '0.5000', '0.3333'], [1, '0.2500', '0.3333'], [2, '0.1250', '0.1667']]);
  });

  it('tells the drawn token too when it is none of the likeliest', () => {
    const { id, alternatives } = sampleToken(logits(), [], Sampling.parse({}), () => 0.999, 2);
    expect(id).toBe(3);
    expect(alternatives.map((other) => other.id)).toEqual([0, 1, 3]);
    expect(sampleToken(logits(), [], Sampling.parse({}), () => 0.999).alternatives).toEqual([]);
  });
});
