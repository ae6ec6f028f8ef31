/** The conformance cases of mixtures of experts: the rest of conformance-cases.ts, under its rules. Data only. */
import { createNormal, type Case } from './conformance-cases.ts';
import { layOutByExpert } from './expert-slots.ts';

const EXACT = 0;
/** f32 sums of up to some thousand terms of size 1 in any order. */
const SUM = 1e-5;
/** exp to a few units in the last place, then sums. */
const EXPONENTIAL = 3e-5;

const normal = createNormal(20261122);
const random = (n: number, scale = 1): Float32Array => Float32Array.from({ length: n }, () => scale * normal());
const unset = (n: number): Float32Array => new Float32Array(n).fill(NaN);

export const expertCases: Case[] = [];

for (const [N, E, K] of [[1, 1, 1], [1, 8, 2], [7, 5, 5], [67, 8, 2], [301, 60, 4], [131, 128, 8]]) {
  for (const normalise of [0, 1] as const) {
    for (const balanced of [false, true]) {
      expertCases.push({
        name: `route N=${N} E=${E} K=${K}${normalise ? ', normalised' : ''}${balanced ? ', with its load' : ''}`,
        tensors: {
          probs: unset(N * E), weights: unset(N * K), chosen: new Int32Array(N * K), slots: new Int32Array(N * K), rows: new Int32Array(N * K),
          bounds: new Int32Array(E + 1), load: Float32Array.from({ length: E }, (_, e) => e), logits: random(N * E, 2),
          dweights: random(N * K), dprobs: random(E), dlogits: unset(N * E),
        },
        forward: (d, t) => d.route(t.probs, t.weights, t.chosen, t.slots, t.rows, t.bounds, balanced ? t.load : null, t.logits, N, E, K, normalise),
        backward: (d, t) => d.routeBackward(t.dlogits, t.dweights, balanced ? t.dprobs : null, t.probs, t.weights, t.chosen, N, E, K, normalise),
        results: { probs: EXPONENTIAL, weights: EXPONENTIAL, chosen: EXACT, slots: EXACT, rows: EXACT, bounds: EXACT, load: EXACT, dlogits: EXPONENTIAL },
        // one expert always has all the weight: its gradient is a difference of equals
        absolute: ['dlogits'],
        ...(balanced ? {} : { gradient: { output: 'weights', upstream: 'dweights', inputs: { logits: 'dlogits' } } }),
      });
    }
  }
}

/** Every third expert of E is chosen by nobody. */
const choices = (N: number, E: number, K: number): Int32Array =>
  Int32Array.from({ length: N * K }, (_, i) => [...Array(E).keys()].filter((e) => E < 3 || e % 3 !== 1)[(i + (i / K | 0) * 2) % Math.max(1, E - Math.ceil((E - 1) / 3))]);

for (const [N, K, C] of [[1, 1, 1], [1, 2, 64], [7, 5, 13], [67, 4, 131], [301, 2, 80]]) {
  for (const frozen of [false, true]) {
    const { slots } = layOutByExpert(choices(N, 8, K), N, 8, K);
    expertCases.push({
      name: `combineRows N=${N} K=${K} C=${C}${frozen ? ', weights without a gradient' : ''}`,
      tensors: {
        out: random(N * C), y: random(N * K * C), weights: random(N * K), slots, dout: random(N * C), dy: unset(N * K * C), dweights: unset(N * K),
      },
      forward: (d, t) => d.combineRows(t.out, t.y, t.weights, t.slots, N, K, C),
      backward: (d, t) => d.combineRowsBackward(t.dy, frozen ? null : t.dweights, t.dout, t.y, t.weights, t.slots, N, K, C),
      results: { out: SUM, dy: SUM, dweights: frozen ? EXACT : SUM },
      gradient: { output: 'out', upstream: 'dout', inputs: { y: 'dy', ...(frozen ? {} : { weights: 'dweights' }) } },
    });
  }
}

for (const [P, E, I, O] of [[3, 2, 7, 5], [40, 6, 64, 33], [201, 4, 131, 80], [301, 7, 48, 129]]) {
  const { bounds } = layOutByExpert(choices(P, E, 1), P, E, 1);
  const w = (e: number) => `w${e}`, dw = (e: number) => `dw${e}`;
  const experts = [...Array(E).keys()];
  const each = (make: (e: number) => [string, Float32Array]) => Object.fromEntries(experts.map(make));
  expertCases.push({
    name: `linear by groups: ${P} rows, ${E} experts, ${I} to ${O}`,
    tensors: {
      out: unset(P * O), x: random(P * I), bounds, dout: random(P * O), dx: unset(P * I),
      ...each((e) => [w(e), random(O * I)]), ...each((e) => [dw(e), e % 2 === 0 ? unset(O * I) : random(O * I)]),
    },
    forward: (d, t) => experts.forEach((at) => d.linear(t.out, t.x, t[w(at)], null, P, I, O, 1, 0, { bounds: t.bounds, at })),
    backward(d, t) {
      for (const at of experts) {
        d.linearBackwardInput(t.dx, t.dout, t[w(at)], P, I, O, 1, 0, { bounds: t.bounds, at });
        d.linearBackwardWeight(t[dw(at)], t.dout, t.x, P, I, O, 1, at % 2, { bounds: t.bounds, at });
      }
    },
    results: { out: SUM, dx: SUM, ...Object.fromEntries(experts.map((e) => [dw(e), SUM])) },
    gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx', w0: 'dw0' } },
  });
}
