/** The losses by hand: values worked out on paper, gradients against central differences. */
import { describe, expect, it } from 'vitest';
import { classifyLoss } from './classify.ts';
import { rewardLoss } from './reward.ts';
import { cpoLoss } from './cpo.ts';
import { dpoLoss, type DpoLossType, type DpoPairs } from './dpo.ts';
import { klEstimate, ktoLoss } from './kto.ts';
import { orpoLoss } from './orpo.ts';
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

/** Every loss's gradient against central differences of its value, along each of the log-probs named. */
function expectOwnGradient<Rows extends object>(rows: () => Rows, loss: (rows: Rows) => number, slopes: [keyof Rows, Float64Array][]): void {
  const h = 1e-5;
  for (const [field, gradient] of slopes) {
    for (let i = 0; i < gradient.length; i++) {
      const [up, down] = [rows(), rows()];
      (up[field] as Float64Array)[i] += h;
      (down[field] as Float64Array)[i] -= h;
      expect(gradient[i], `${String(field)}[${i}]`).toBeCloseTo((loss(up) - loss(down)) / (2 * h), 7);
    }
  }
}

describe('dpoLoss', () => {
  const step = { pairs: 2, chosenTokens: 7 };
  const one = (lossType: DpoLossType, beta = 0.5, labelSmoothing = 0) => dpoLoss(pairs(), step, { beta, lossType: [lossType], labelSmoothing }).loss;

  it('equals −log σ(βΔ) by hand', () => {
    // pair 0: Δ = (−10+11) − (−12+11) = 2; pair 1: Δ = 0.5 − 0.5 = 0. β = 0.5: −log σ(1) = 0.3132617, −log σ(0) = log 2 = 0.6931472
    const result = dpoLoss(pairs(), step, { beta: 0.5, lossType: ['sigmoid'], labelSmoothing: 0 });
    expect(result.loss).toBeCloseTo((0.3132616875 + 0.6931471806) / 2, 9);
    expect([...result.chosenRewards]).toEqual([0.5, 0.25]);
    expect([...result.rejectedRewards]).toEqual([-0.5, 0.25]);
  });

  it('equals the squared distance to 1/(2β) for IPO, log-ratios divided by length', () => {
    // pair 0: 1/5 − (−1)/4 = 0.45, minus 1 → 0.3025; pair 1: 0.25 − 0.5 = −0.25, minus 1 → 1.5625
    expect(one('ipo')).toBeCloseTo((0.3025 + 1.5625) / 2, 9);
  });

  it('equals the other losses of the family by hand', () => {
    // β = 0.5: z = 1 and 0; βc = 0.5 and 0.25; βr = −0.5 and 0.25. −log σ(x): 0.3132617 at 1, 1.3132617 at −1, 0.6931472 at 0,
    // 0.4740770 at 0.5, 0.9740770 at −0.5, 0.5759393 at 0.25, 0.8259393 at −0.25. σ: 0.6224593 at 0.5, 0.5621765 at 0.25, 0.7310586 at 1
    expect(one('hinge')).toBeCloseTo((0 + 1) / 2, 9);
    expect(one('robust', 0.5, 0.1)).toBeCloseTo((0.9 * 0.3132617 - 0.1 * 1.3132617 + 0.8 * 0.6931472) / 0.8 / 2, 6);
    // σ(z)(log σ(z) − log 0.9) + σ(−z)(log σ(−z) − log 0.1), log 0.9 = −0.1053605, log 0.1 = −2.3025851
    const exo = [0.7310586 * (-0.3132617 + 0.1053605) + 0.2689414 * (-1.3132617 + 2.3025851), -0.6931472 + 0.5 * (0.1053605 + 2.3025851)];
    expect(one('exo_pair', 0.5, 0.1)).toBeCloseTo((exo[0] + exo[1]) / 2, 6);
    expect(one('nca_pair')).toBeCloseTo((0.474077 + 0.5 * 0.974077 + 0.5 * 0.474077 + (0.5759393 + 0.8259393)) / 2, 6);
    expect(one('bco_pair')).toBeCloseTo((0.474077 + 0.474077 + 0.5759393 + 0.8259393) / 2, 6);
    expect(one('sppo_hard')).toBeCloseTo((0 + 0 + 0.5 ** 2 + 1.5 ** 2) / 2, 9); // c = 1, r = −1; c = r = 0.5; targets ±1
    expect(one('apo_zero')).toBeCloseTo((1 - 0.6224593 + (1 - 0.6224593) + 1) / 2, 6);
    expect(one('apo_down')).toBeCloseTo((0.6224593 + (1 - 0.7310586) + 0.5621765 + 0.5) / 2, 6);
    expect(one('sigmoid_norm', 1)).toBeCloseTo((Math.log1p(Math.exp(-0.45)) + Math.log1p(Math.exp(0.25))) / 2, 9); // the margins of IPO above
    expect(one('sft')).toBeCloseTo((10 + 3) / 7, 9); // over all chosen tokens, not a mean of means
  });

  it('adds several losses up by their weights', () => {
    const both = dpoLoss(pairs(), step, { beta: 0.5, lossType: ['sigmoid', 'sft'], lossWeights: [0.8, 0.3], labelSmoothing: 0 });
    expect(both.loss).toBeCloseTo(0.8 * one('sigmoid') + 0.3 * one('sft'), 12);
  });

  it.each([
    ...(['sigmoid', 'hinge', 'ipo', 'exo_pair', 'nca_pair', 'robust', 'bco_pair', 'sppo_hard', 'apo_zero', 'apo_down', 'sigmoid_norm', 'sft'] as const).map(
      (name) => ({ beta: 0.3, lossType: [name], labelSmoothing: name === 'sigmoid' ? 0 : 0.2 }),
    ),
    { beta: 0.3, lossType: ['sigmoid' as const], labelSmoothing: 0.2 },
    { beta: 0.3, lossType: ['sigmoid' as const, 'sft' as const], lossWeights: [0.8, 0.3], labelSmoothing: 0 },
  ])('has the gradient of its own value: $lossType, ε $labelSmoothing', (options) => {
    const { dchosen, drejected } = dpoLoss(pairs(), step, options);
    expectOwnGradient(pairs, (rows) => dpoLoss(rows, step, options).loss, [['chosenLogps', dchosen], ['rejectedLogps', drejected]]);
  });

  it('stays finite where exp would overflow', () => {
    const far = { ...pairs(), chosenLogps: Float64Array.of(-1e6, -3) };
    const result = dpoLoss(far, step, { beta: 1, lossType: ['sigmoid', 'exo_pair', 'robust'], labelSmoothing: 0.1 });
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

describe('cpoLoss', () => {
  const step = { pairs: 2, chosenTokens: 7 };
  const options = { beta: 0.5, lossType: 'sigmoid' as const, labelSmoothing: 0, cpoAlpha: 1, simpoGamma: 0.5 };

  it('is a margin of log-probs and the likelihood of the chosen answers', () => {
    // margins −10 + 12 = 2 and −3 + 2 = −1; β = 0.5: −log σ(1) = 0.3132617, −log σ(−0.5) = 0.9740770; likelihood (10 + 3) / 7
    const result = cpoLoss(pairs(), step, options);
    expect(result.nll).toBeCloseTo(13 / 7, 12);
    expect(result.loss).toBeCloseTo((0.3132617 + 0.974077) / 2 + 13 / 7, 6);
    expect(cpoLoss(pairs(), step, { ...options, cpoAlpha: 0, lossType: 'hinge' }).loss).toBeCloseTo((0 + 1.5) / 2, 9);
  });

  it('reads log-probs per token for SimPO and IPO', () => {
    // −10/5 + 12/4 = 1; −3/2 + 2/1 = 0.5; SimPO β = 2, γ = 0.5: −log σ(1.5) = 0.2014133, −log σ(0.5) = 0.4740770
    const simpo = cpoLoss(pairs(), step, { ...options, lossType: 'simpo', beta: 2, cpoAlpha: 0 });
    expect(simpo.loss).toBeCloseTo((0.2014133 + 0.474077) / 2, 6);
    expect([...simpo.chosenLogps]).toEqual([-2, -1.5]);
    expect(cpoLoss(pairs(), step, { ...options, lossType: 'ipo', cpoAlpha: 0 }).loss).toBeCloseTo((0 + 0.25) / 2, 9);
  });

  it.each(['sigmoid', 'hinge', 'ipo', 'simpo'] as const)('has the gradient of its own value: %s', (lossType) => {
    const own = { ...options, beta: 0.3, lossType, labelSmoothing: 0.2, cpoAlpha: 0.7 };
    const { dchosen, drejected } = cpoLoss(pairs(), step, own);
    expectOwnGradient(pairs, (rows) => cpoLoss(rows, step, own).loss, [['chosenLogps', dchosen], ['rejectedLogps', drejected]]);
  });
});

describe('orpoLoss', () => {
  const rows = () => ({ ...pairs(), promptLogps: Float64Array.of(-4, -6) });
  const step = { pairs: 2, nllTokens: 23 };

  it('is the likelihood of prompts and chosen answers, and the odds ratio of the means per token', () => {
    // p̄: e^−2 and e^−3; e^−1.5 and e^−2. log odds: −2 − log(1 − e^−2) = −1.8545865, −2.9489308; −1.2475175, −1.8545865
    // differences 1.0943443 and 0.6070690; log σ: −0.2887508 and −0.4349888
    const result = orpoLoss(rows(), step, { beta: 0.5 });
    expect(result.nll).toBeCloseTo((10 + 3 + 4 + 6) / 23, 12);
    expect(result.logOddsChosen).toBeCloseTo((1.0943443 + 0.607069) / 2, 6);
    expect(result.logOddsRatio).toBeCloseTo(-(0.2887508 + 0.4349888) / 2, 6);
    expect(result.loss).toBeCloseTo(1 + (0.5 * (0.2887508 + 0.4349888)) / 2, 6);
  });

  it('has the gradient of its own value, of prompts too', () => {
    const { dchosen, drejected, dprompt } = orpoLoss(rows(), step, { beta: 0.5 });
    expectOwnGradient(rows, (at) => orpoLoss(at, step, { beta: 0.5 }).loss, [
      ['chosenLogps', dchosen], ['rejectedLogps', drejected], ['promptLogps', Float64Array.of(dprompt, dprompt)],
    ]);
  });

  it('stays finite for an answer that is certain', () => {
    const { loss, dchosen } = orpoLoss({ ...rows(), chosenLogps: Float64Array.of(0, -3) }, step, { beta: 0.5 });
    expect(Number.isFinite(loss) && Number.isFinite(dchosen[0])).toBe(true);
  });
});

describe('ktoLoss', () => {
  // log-ratios 1, −1, 0.5
  const rows = () => ({ logps: Float64Array.of(-10, -12, -3), refLogps: Float64Array.of(-11, -11, -3.5), labels: Uint8Array.of(1, 0, 1) });
  const options = { beta: 0.5, lossType: 'kto' as const, desirableWeight: 1, undesirableWeight: 2 };

  it('weighs what an answer gains over the KL, the bad ones the other way round', () => {
    // KL 0.5: z = 0.5·0.5, −0.5·(−1.5), 0 → 1 − σ = 0.4378235, 0.3208213, 0.5
    expect(ktoLoss(rows(), 0.5, 3, options).loss).toBeCloseTo((0.4378235 + 2 * 0.3208213 + 0.5) / 3, 6);
    expect([...ktoLoss(rows(), 0.5, 3, options).rewards]).toEqual([0.5, -0.5, 0.25]);
  });

  it('adds up over micro-batches', () => {
    const part = (from: number, to: number) => ({ logps: rows().logps.slice(from, to), refLogps: rows().refLogps.slice(from, to), labels: rows().labels.slice(from, to) });
    expect(ktoLoss(part(0, 2), 0.5, 3, options).loss + ktoLoss(part(2, 3), 0.5, 3, options).loss).toBeCloseTo(ktoLoss(rows(), 0.5, 3, options).loss, 12);
  });

  it('has the gradient of its own value', () => {
    expectOwnGradient(rows, (at) => ktoLoss(at, 0.5, 3, options).loss, [['logps', ktoLoss(rows(), 0.5, 3, options).dlogps]]);
  });

  it('takes the KL to be at least 0', () => {
    expect(klEstimate(Float64Array.of(-3, -4), Float64Array.of(-4, -6))).toBeCloseTo(1.5, 12);
    expect(klEstimate(Float64Array.of(-4, -6), Float64Array.of(-3, -4))).toBe(0);
  });
});
