/** GRPO's and RLOO's arithmetic by hand: values worked out on paper, gradients against central differences. */
import { describe, expect, it } from 'vitest';
import { groupAdvantages, grpoLoss, type GrpoSettings, type GrpoSites } from './grpo.ts';
import { leaveOneOutAdvantages, rlooLoss } from './rloo.ts';

describe('advantages', () => {
  it('of a group: distance from its mean over its deviation', () => {
    // [0, 2]: mean 1, deviation √2; [3, 3]: no deviation, advantage 0. All four: mean 2, squares 4 + 0 + 1 + 1, deviation √2
    const scores = Float64Array.of(0, 2, 3, 3);
    const { advantages, zeroStd } = groupAdvantages(scores, 2, 'group');
    expect([...advantages]).toEqual([-1 / (Math.SQRT2 + 1e-4), 1 / (Math.SQRT2 + 1e-4), 0, 0]);
    expect(zeroStd).toBe(0.5);
    expect([...groupAdvantages(scores, 2, 'none').advantages]).toEqual([-1, 1, 0, 0]);
    expect(groupAdvantages(scores, 2, 'batch').advantages[1]).toBeCloseTo(1 / (Math.SQRT2 + 1e-4), 12);
  });

  it('leave one out: distance from the mean of the others', () => {
    expect([...leaveOneOutAdvantages(Float64Array.of(0, 3, 6, 1, 1, 1), 3, false)]).toEqual([-4.5, 0, 4.5, 0, 0, 0]);
  });
});

const sites = (): GrpoSites => ({
  logprobs: Float32Array.of(-1, -2, -0.5),
  oldLogprobs: Float32Array.of(-1.5, -2, -0.4),
  refLogprobs: Float32Array.of(-1.2, -1.7, -0.5),
  sequences: Int32Array.of(0, 0, 1),
  advantages: Float64Array.of(1, -2),
  lengths: Int32Array.of(2, 1),
});
const settings: GrpoSettings = { epsilon: 0.2, epsilonHigh: null, beta: 0, lossType: 'grpo', useBiasCorrectionKl: true, maxCompletionLength: 4 };

describe('grpoLoss', () => {
  it('clips the ratio and weighs tokens as its type says', () => {
    // ratios e^0.5 → clipped to 1.2 as A > 0; 1; e^−0.1 = 0.904837 (inside 0.8): terms −1.2, −1, 1.809675
    const terms = [-1.2, -1, 2 * Math.exp(-0.1)];
    const whole = { answers: 2, tokens: 3 };
    const loss = (lossType: GrpoSettings['lossType']) => grpoLoss(sites(), whole, { ...settings, lossType });
    expect(loss('grpo').loss).toBeCloseTo(((terms[0] + terms[1]) / 2 + terms[2]) / 2, 6);
    expect(loss('dapo').loss).toBeCloseTo((terms[0] + terms[1] + terms[2]) / 3, 6);
    expect(loss('dr_grpo').loss).toBeCloseTo((terms[0] + terms[1] + terms[2]) / 8, 6);
    expect([...loss('grpo').clippedHigh, ...loss('grpo').clippedLow]).toEqual([1, 0, 0, 0]);
    expect(loss('grpo').dlogprobs[0]).toBe(0);
  });

  it('leaves answers of length 0 out, and adds up over micro-batches', () => {
    const masked = { ...sites(), lengths: Int32Array.of(2, 0) };
    expect(grpoLoss(masked, { answers: 2, tokens: 2 }, settings).loss).toBeCloseTo(-2.2 / 4, 6);
    expect(grpoLoss(masked, { answers: 2, tokens: 2 }, settings).dlogprobs[2]).toBe(0);
  });

  it.each([0, 0.3].flatMap((beta) => [true, false].map((useBiasCorrectionKl) => ({ beta, useBiasCorrectionKl }))))('has the gradient of its own value: %o', (options) => {
    const value = (m: number, shift: number) => {
      const moved = sites();
      moved.logprobs[m] += shift;
      return grpoLoss(moved, { answers: 2, tokens: 3 }, { ...settings, ...options }).loss;
    };
    const { dlogprobs } = grpoLoss(sites(), { answers: 2, tokens: 3 }, { ...settings, ...options });
    const h = 2 ** -10;
    for (let m = 0; m < 3; m++) expect(dlogprobs[m]).toBeCloseTo((value(m, h) - value(m, -h)) / (2 * h), 4);
  });
});

describe('rlooLoss', () => {
  const answers = (first = -3) => (
    { logps: Float64Array.of(first, -2), oldLogps: Float64Array.of(-3.1, -2), advantages: Float64Array.of(2, -1), counted: Uint8Array.of(1, 1) }
  );
  it('equals −ρA over answers by hand, with the gradient of its own value', () => {
    // ρ = e^0.1 and 1: −(2·1.105171 − 1)/2
    const { loss, dlogps } = rlooLoss(answers(), 2, { epsilon: 0.2, epsilonHigh: null });
    expect(loss).toBeCloseTo(-(2 * Math.exp(0.1) - 1) / 2, 12);
    const at = (first: number) => rlooLoss(answers(first), 2, { epsilon: 0.2, epsilonHigh: null }).loss;
    expect(dlogps[0]).toBeCloseTo((at(-3 + 1e-6) - at(-3 - 1e-6)) / 2e-6, 6);
    expect(rlooLoss(answers(-2.5), 2, { epsilon: 0.2, epsilonHigh: null }).dlogps[0]).toBe(0);
  });
});
