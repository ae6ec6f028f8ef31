/** Sampling against exact distributions: what is kept, in what share it is drawn, and what log-prob is reported. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { createRandom } from '../random.ts';
import type { Context } from './filters.ts';
import { sampleToken, traceFilters } from './sample.ts';

const NOTHING = { prompt: [], completion: [] };

/** softmax of these is 0.5, 0.25, 0.125, 0.125 */
const logits = () => Float32Array.from([0.5, 0.25, 0.125, 0.125], Math.log);

function shares(settings: Partial<Sampling>, draws = 20000): number[] {
  const sampling = Sampling.parse(settings);
  const random = createRandom(7);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < draws; i++) counts[sampleToken(logits(), NOTHING, sampling, random.next).id]++;
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
    // the entropy is 1.75 bits; the surprises are 1, 2, 3, 3 bits: 0.25, 0.75, 1.25, 1.25 away. 0.25 < 0.6 ≤ 0.25 + 0.5
    ['typical-p 0.6', { typicalP: 0.6 }, [2 / 3, 1 / 3, 0, 0]],
    ['typical-p 0.2 keeps the typical token, which is not the likeliest', { typicalP: 0.2 }, [0, 1, 0, 0]],
    // both 3-bit tokens are equally near, and the first of them reaches 0.8
    ['typical-p 0.8 cuts through no tie', { typicalP: 0.8 }, [0.5, 0.25, 0.125, 0.125]],
    // squared by temperature 0.5, 0.7273 alone reaches 0.7; before the temperature two tokens are needed for it, and are squared then
    ['temperature before the cut', { temperature: 0.5, topP: 0.7 }, [1, 0, 0, 0]],
    ['temperature after the cut', { temperature: 0.5, topP: 0.7, filterOrder: 'llama.cpp' }, [0.8, 0.2, 0, 0]],
    // typical before top-p: it leaves 2/3 and 1/3, of which 0.6 wants one; top-p 0.6 first would leave the same two and typical then 1/3 alone
    ['typical before top-p', { typicalP: 0.6, topP: 0.6, filterOrder: 'llama.cpp' }, [1, 0, 0, 0]],
  ] as [string, Partial<Sampling>, number[]][])('draws from the exact distribution: %s', (_, settings, expected) => {
    expect(chiSquare(shares(settings), expected)).toBeLessThan(16.27);
  });

  it('keeps tokens in order also where they are far below the likeliest one', () => {
    const { tokens } = traceFilters(Float32Array.of(-40, 0, -30, -50, -60), NOTHING, Sampling.parse({ topK: 3 }), 5);
    expect(tokens.map(({ id, probabilities }) => [id, probabilities.at(-1)! > 0])).toEqual([[1, true], [2, true], [0, true], [3, false], [4, false]]);
  });

  it('is greedy at temperature 0, the lowest id on a tie', () => {
    const sampling = Sampling.parse({ temperature: 0 });
    expect(sampleToken(Float32Array.of(1, 3, 3), NOTHING, sampling, Math.random).id).toBe(1);
  });

  it("reports the model's own log-prob, whatever the filters did", () => {
    const sampling = Sampling.parse({ temperature: 0, repetitionPenalty: 5, topK: 1 });
    // logits are log-probs here; id 0 is penalised (negative logits are multiplied): −0.69 × 5 = −3.47, so id 1 wins with its own log 0.25
    const { id, logprob } = sampleToken(logits(), { prompt: [0], completion: [] }, sampling, Math.random);
    expect(id).toBe(1);
    expect(logprob).toBeCloseTo(Math.log(0.25), 6);
  });

  it('penalises a seen token once, however often it was seen', () => {
    const sampling = Sampling.parse({ temperature: 0, repetitionPenalty: 1.5 });
    // 3 / 1.5 = 2 stays above 1.9; penalised twice it would be 1.33 and lose
    expect(sampleToken(Float32Array.of(3, 1.9), { prompt: [0, 0], completion: [0] }, sampling, Math.random).id).toBe(0);
  });

  it('draws from the exact distribution under penalties, frequency by times and presence once, of the answer alone', () => {
    // token 0 stands twice in the answer and once in the prompt: e^(−2·ln 2 − ln 2) = 1/8 of its weight; token 1 once: 1/4
    const sampling = Sampling.parse({ frequencyPenalty: Math.LN2, presencePenalty: Math.LN2 });
    const random = createRandom(7);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20000; i++) counts[sampleToken(logits(), { prompt: [0, 3], completion: [0, 1, 0] }, sampling, random.next).id]++;
    // 1/16, 1/16, 1/8, 1/8 of 3/8
    expect(chiSquare(counts.map((count) => count / 20000), [1 / 6, 1 / 6, 1 / 3, 1 / 3])).toBeLessThan(16.27);
  });

  it('draws nothing that a mask forbids, and reports the log-prob of the model all the same', () => {
    const mask = Int32Array.of(0b1010);
    const random = createRandom(7);
    const drawn = Array.from({ length: 20000 }, () => sampleToken(logits(), { ...NOTHING, mask }, Sampling.parse({}), random.next));
    const shares = [0, 1, 2, 3].map((id) => drawn.filter((one) => one.id === id).length / 20000);
    expect(chiSquare(shares, [0, 2 / 3, 0, 1 / 3])).toBeLessThan(16.27);
    expect(drawn.find(({ id }) => id === 1)!.logprob).toBeCloseTo(Math.log(0.25), 6);
  });

  it('tells the entropy of the model itself', () => {
    expect(sampleToken(logits(), NOTHING, Sampling.parse({ topK: 1 }), Math.random).entropy).toBeCloseTo(1.75 * Math.LN2, 6);
  });

  it('tells the likeliest tokens with their own probability and the one they are drawn with', () => {
    const told = (settings: Partial<Sampling>, prompt: number[] = []) =>
      sampleToken(logits(), { prompt, completion: [] }, Sampling.parse(settings), () => 0, 3).alternatives.map(({ id, probability, sampledProbability }) => [id, probability.toFixed(4), sampledProbability.toFixed(4)]);
    // two candidates left; at temperature 0.5 their shares are squared: 0.25 and 0.0625 of 0.3125
    expect(told({ topK: 2, temperature: 0.5 })).toEqual([[0, '0.5000', '0.8000'], [1, '0.2500', '0.2000'], [2, '0.1250', '0.0000']]);
    expect(told({ temperature: 0 })).toEqual([[0, '0.5000', '1.0000'], [1, '0.2500', '0.0000'], [2, '0.1250', '0.0000']]);
    // the penalty doubles log 0.5 of token 0: 0.25 of 0.75 in all, like token 1; its own probability stays
    expect(told({ repetitionPenalty: 2 }, [0])).toEqual([[0, '0.5000', '0.3333'], [1, '0.2500', '0.3333'], [2, '0.1250', '0.1667']]);
  });

  it('tells the drawn token too when it is none of the likeliest', () => {
    const { id, alternatives } = sampleToken(logits(), NOTHING, Sampling.parse({}), () => 0.999, 2);
    expect(id).toBe(3);
    expect(alternatives.map((other) => other.id)).toEqual([0, 1, 3]);
    expect(sampleToken(logits(), NOTHING, Sampling.parse({}), () => 0.999).alternatives).toEqual([]);
  });
});

describe('the chain of filters', () => {
  it("leaves what transformers' processors leave, with the same probabilities", () => {
    const golden = JSON.parse(readFileSync(new URL('../../../fixtures/sampling/filters.json', import.meta.url), 'utf8')) as
      { sampling: Partial<Sampling>; seen: number[]; logits: number[]; probabilities: number[] }[];
    for (const { sampling, seen, logits: row, probabilities } of golden) {
      const { stages, tokens } = traceFilters(Float32Array.from(row), { prompt: seen, completion: [] }, Sampling.parse(sampling), row.length);
      expect(stages.at(-1)!.kept, JSON.stringify(sampling)).toBe(probabilities.filter((p) => p > 0).length);
      for (const { id, probabilities: told } of tokens) expect(told.at(-1)).toBeCloseTo(probabilities[id], 5);
    }
  });
});

describe('traceFilters', () => {
  const traced = (settings: Partial<Sampling>, context: Context = NOTHING) => {
    const { stages, tokens } = traceFilters(logits(), context, Sampling.parse(settings), 3);
    return { stages: stages.map(({ stage, kept }) => [stage, kept]), tokens: tokens.map(({ id, probabilities }) => [id, probabilities.map((p) => p.toFixed(4))]) };
  };

  it('tells the distribution after each filter that does something, in their order', () => {
    // temperature 0.5 squares: 0.7273, 0.1818, 0.0455, 0.0455; two of them are 0.8 and 0.2; of these 0.7 wants one
    expect(traced({ temperature: 0.5, topK: 2, topP: 0.7 })).toEqual({
      stages: [['model', 4], ['temperature', 4], ['topK', 2], ['topP', 1]],
      tokens: [[0, ['0.5000', '0.7273', '0.8000', '1.0000']], [1, ['0.2500', '0.1818', '0.2000', '0.0000']], [2, ['0.1250', '0.0455', '0.0000', '0.0000']]],
    });
    expect(traced({ temperature: 0.5, topK: 2, topP: 0.7, filterOrder: 'llama.cpp' }).stages).toEqual([['model', 4], ['topK', 2], ['topP', 2], ['temperature', 2]]);
  });

  it('tells a mask and a penalty as stages of their own, and greedy as one token left', () => {
    // the mask leaves 0, 1 and 3 (0.5, 0.25, 0.125 of 0.875); a presence of ln 4 quarters token 0: 0.125, 0.25, 0.125 of 0.5
    expect(traced({ temperature: 0, presencePenalty: Math.log(4), topK: 2 }, { prompt: [], completion: [0], mask: Int32Array.of(0b1011) })).toEqual({
      stages: [['model', 4], ['mask', 3], ['penalties', 3], ['temperature', 1]],
      tokens: [[0, ['0.5000', '0.5714', '0.2500', '0.0000']], [1, ['0.2500', '0.2857', '0.5000', '1.0000']], [2, ['0.1250', '0.0000', '0.0000', '0.0000']]],
    });
  });
});
