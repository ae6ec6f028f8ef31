/** PPO's arithmetic against its twin in PyTorch (fixtures/ppo.json), and a few numbers by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { adaptKlCoef, estimateAdvantages, ppoLoss, tokenRewards, whiten } from './ppo.ts';

type Case = {
  name: string;
  settings: { klCoef: number; klEstimator: 'k1' | 'k3'; gamma: number; lam: number; whitenRewards: boolean; cliprange: number; cliprangeValue: number; vfCoef: number };
  scores: number[];
  expected: { policyLoss: number; valueLoss: number; approxKl: number; kl: number[] } & Record<'advantages' | 'returns' | 'dlogprobs' | 'dvalues', number[][]>;
} & Record<'oldLogprobs' | 'refLogprobs' | 'oldValues' | 'logprobs' | 'values', number[][]>;

const cases = JSON.parse(readFileSync(new URL('../../../fixtures/ppo.json', import.meta.url), 'utf8')) as Case[];
const near = (got: ArrayLike<number>, want: number[], what: string) => {
  expect(got.length).toBe(want.length);
  for (const [i, value] of want.entries()) expect(Math.abs(got[i] - value), `${what} ${i}: ${got[i]}, want ${value}`).toBeLessThan(1e-5);
};

describe('PPO on fixed log-probs and values', () => {
  it.each(cases)('has the advantages, returns, losses and gradients of its twin: $name', (given) => {
    const { settings, expected } = given;
    const arrays = (parts: number[][]) => parts.map((part) => Float32Array.from(part));
    const [logprobs, refLogprobs, oldValues] = [given.oldLogprobs, given.refLogprobs, given.oldValues].map(arrays);
    const { rewards, kls } = tokenRewards({ logprobs, refLogprobs, scores: Float64Array.from(given.scores) }, settings.klCoef, settings.klEstimator);
    if (settings.whitenRewards) whiten(rewards, false);
    const estimates = rewards.map((each, s) => estimateAdvantages(each, oldValues[s], settings.gamma, settings.lam));
    whiten(estimates.map(({ advantages }) => advantages), true);
    near(kls, expected.kl, 'kl');
    near(estimates.flatMap(({ advantages }) => [...advantages]), expected.advantages.flat(), 'advantage');
    near(estimates.flatMap(({ returns }) => [...returns]), expected.returns.flat(), 'return');

    const flat = (parts: number[][]) => Float32Array.from(parts.flat());
    const loss = ppoLoss({
      logprobs: flat(given.logprobs), values: flat(given.values), oldLogprobs: flat(given.oldLogprobs), oldValues: flat(given.oldValues),
      advantages: Float64Array.from(expected.advantages.flat()), returns: Float64Array.from(expected.returns.flat()),
    }, given.logprobs.flat().length, settings);
    near([loss.policyLoss, loss.valueLoss, loss.approxKl / given.logprobs.flat().length], [expected.policyLoss, expected.valueLoss, expected.approxKl], 'loss');
    near(loss.dlogprobs, expected.dlogprobs.flat(), 'dlogprob');
    near(loss.dvalues, expected.dvalues.flat(), 'dvalue');
  });

  it('pays the score at the end and discounts it back', () => {
    // no KL: rewards 0, 0, 2; values 0: δ = 0, 0, 2; A = 0.25·2, 0.5·2, 2 with γλ = 0.5
    const zeros = [new Float32Array(3)];
    const { rewards } = tokenRewards({ logprobs: zeros, refLogprobs: zeros, scores: Float64Array.of(2) }, 0.1, 'k1');
    expect([...rewards[0]].map((reward) => reward + 0)).toEqual([0, 0, 2]);
    expect([...estimateAdvantages(rewards[0], [0, 0, 0], 1, 0.5).advantages]).toEqual([0.5, 1, 2]);
  });

  it('adapts the price of the KL, by a fifth of the error at most', () => {
    // KL twice its target counts as 0.2: 0.1 · (1 + 0.2 · 64/640)
    expect(adaptKlCoef(0.1, 12, 6, 64, 640)).toBeCloseTo(0.102, 12);
    expect(adaptKlCoef(0.1, 5.4, 6, 64, 640)).toBeCloseTo(0.1 * (1 - 0.1 * 0.1), 12);
  });
});
