/** The losses by hand: values worked out on paper, gradients against central differences. */
import { describe, expect, it } from 'vitest';
import { dpoLoss, type DpoPairs } from './dpo.ts';
import { classifyLoss } from './classify.ts';
import { rewardLoss } from './reward.ts';
import { sftLoss } from './sft.ts';

const pairs = (): DpoPairs => ({
  chosenLogps: Float64Array.of(-10, -3),
  rejectedLogps: Float64Array.of(-12, -2),
  refChosenLogps: Float64Array.of(-11, -3.5),
  refRejectedLogps: Float64Array.of(-11, -2.5),
  chosenTokens: Int32Array.of(5, 2),
  rejectedTokens: Int32Array.of(4, 1),
});

describe('sftLoss', () => {
  it('is the mean negative log-likelihood over the whole step, so two micro-batches add up to one', () => {
    // (1 + 2 + 6) / 3 = 3; cut as [1, 2] and [6] with T = 3: 1 + 2 = 3
    expect(sftLoss(Float32Array.of(-1, -2, -6), 3).loss).toBeCloseTo(3, 12);
    expect(sftLoss(Float32Array.of(-1, -2), 3).loss + sftLoss(Float32Array.of(-6), 3).loss).toBeCloseTo(3, 12);
    expect([...sftLoss(Float32Array.of(-1, -2), 4).dlogprobs]).toEqual([-0.25, -0.25]);
  });
});

describe('dpoLoss', () => {
  it('equals −log σ(βΔ) by hand', () => {
    // pair 0: Δ = (−10+11) − (−12+11) = 2; pair 1: Δ = 0.5 − 0.5 = 0. β = 0.5: −log σ(1) = 0.3132617, −log σ(0) = log 2 = 0.6931472
    const result = dpoLoss(pairs(), 2, { beta: 0.5, lossType: 'sigmoid', labelSmoothing: 0 });
    expect(result.loss).toBeCloseTo((0.3132616875 + 0.6931471806) / 2, 9);
    expect([...result.chosenRewards]).toEqual([0.5, 0.25]);
    expect([...result.rejectedRewards]).toEqual([-0.5, 0.25]);
  });

  it('equals the squared distance to 1/(2β) for IPO, log-ratios divided by length', () => {
    // pair 0: 1/5 − (−1)/4 = 0.45, minus 1 → 0.3025; pair 1: 0.25 − 0.5 = −0.25, minus 1 → 1.5625
    expect(dpoLoss(pairs(), 2, { beta: 0.5, lossType: 'ipo', labelSmoothing: 0 }).loss).toBeCloseTo((0.3025 + 1.5625) / 2, 9);
  });

  it.each([
    { beta: 0.3, lossType: 'sigmoid', labelSmoothing: 0 },
    { beta: 0.3, lossType: 'sigmoid', labelSmoothing: 0.2 },
    { beta: 0.3, lossType: 'ipo', labelSmoothing: 0 },
  ] as const)('has the gradient of its own value: $lossType, ε $labelSmoothing', (options) => {
    const { dchosen, drejected } = dpoLoss(pairs(), 2, options);
    const h = 1e-5;
    for (let i = 0; i < 2; i++) {
      for (const [field, gradient] of [['chosenLogps', dchosen], ['rejectedLogps', drejected]] as const) {
        const up = pairs();
        const down = pairs();
        up[field][i] += h;
        down[field][i] -= h;
        const slope = (dpoLoss(up, 2, options).loss - dpoLoss(down, 2, options).loss) / (2 * h);
        expect(gradient[i]).toBeCloseTo(slope, 7);
      }
    }
  });

  it('stays finite where exp would overflow', () => {
    const far = { ...pairs(), chosenLogps: Float64Array.of(-1e6, -3) };
    const result = dpoLoss(far, 2, { beta: 1, lossType: 'sigmoid', labelSmoothing: 0.1 });
    expect(Number.isFinite(result.loss)).toBe(true);
    expect(Number.isFinite(result.dchosen[0])).toBe(true);
  });
});

describe('rewardLoss', () => {
  it('is −log σ of the difference of a pair, margin taken off, and the centring beside it', () => {
    // s = (2, 1), m = 0.5: −log σ(0.5) = log(1 + e^−0.5) = 0.4740770; c = 0.1: + 0.1 · 3² = 0.9; of two prompts in the step: half
    const { loss } = rewardLoss(Float32Array.of(2, 1), [{ start: 0, count: 2, margin: 0.5 }], 2, 0.1);
    expect(loss).toBeCloseTo((0.4740769842 + 0.9) / 2, 9);
  });

  it('takes all pairs of a ranking, which weigh as one prompt', () => {
    // s = (2, 1, 0): pairs differ by 1, 2, 1: (2 · 0.3132617 + 0.1269280) / 3
    const ranking = rewardLoss(Float32Array.of(2, 1, 0), [{ start: 0, count: 3, margin: 0 }], 1, 0);
    expect(ranking.loss).toBeCloseTo((2 * 0.3132616875 + 0.1269280110) / 3, 9);
    // each prompt of a step weighs the same, whatever it has of answers
    const both = rewardLoss(Float32Array.of(2, 1, 0, 5, 5), [{ start: 0, count: 3, margin: 0 }, { start: 3, count: 2, margin: 0 }], 2, 0);
    expect(both.loss).toBeCloseTo((ranking.loss + Math.log(2)) / 2, 9);
  });

  it('has the gradient of its own value', () => {
    const prompts = [{ start: 0, count: 3, margin: 0.3 }, { start: 3, count: 2, margin: 0 }];
    const at = (i: number, by: number) => Float32Array.of(0.5, -1, 0.25, 2, 1.5).map((score, j) => (i === j ? score + by : score));
    const { dscores } = rewardLoss(at(-1, 0), prompts, 2, 0.05);
    for (let i = 0; i < 5; i++) {
      const [up, down] = [at(i, 1 / 512), at(i, -1 / 512)]; // powers of two: exact in f32
      expect(dscores[i]).toBeCloseTo((rewardLoss(up, prompts, 2, 0.05).loss - rewardLoss(down, prompts, 2, 0.05).loss) * 256, 5);
    }
  });
});

describe('classifyLoss', () => {
  it('is the mean cross-entropy, with its gradient and the likeliest label', () => {
    // scores (0, log 3): p = (1/4, 3/4); label 0: −log 1/4 = 1.3862944; label 1 of (1, 1): log 2
    const { loss, dscores, predicted } = classifyLoss(Float32Array.of(0, Math.log(3), 1, 1), Int32Array.of(0, 1), 2, 2);
    expect(loss).toBeCloseTo((1.3862943611 + 0.6931471806) / 2, 6);
    [-0.375, 0.375, 0.25, -0.25].forEach((want, i) => expect(dscores[i]).toBeCloseTo(want, 6));
    expect([...predicted]).toEqual([1, 0]);
  });
});
