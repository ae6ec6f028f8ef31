/** The conformance cases of the kernels only some families need: the rest of conformance-cases.ts, under its rules. Data only. */
import { createNormal, type Case } from './conformance-cases.ts';
import type { PlainActivation } from './device.ts';

const EXACT = 0;
/** One f32 rounding of a sum of two. */
const ROUNDING = 5e-7;
/** f32 sums of up to some thousand terms of size 1 in any order. */
const SUM = 1e-5;
/** exp, tanh and erfc to a few units in the last place, then sums. */
const EXPONENTIAL = 3e-5;

const normal = createNormal(20261121);
const random = (n: number, scale = 1): Float32Array => Float32Array.from({ length: n }, () => scale * normal());
const unset = (n: number): Float32Array => new Float32Array(n).fill(NaN);

export const familyCases: Case[] = [];

for (const [N, C, shift] of [[1, 1, 0], [1, 7, 0], [5, 64, 3], [17, 129, 0], [131, 1031, 0], [1031, 80, 1]]) {
  for (const frozen of [false, true]) {
    familyCases.push({
      name: `layerNorm N=${N} C=${C} around ${shift}${frozen ? ', frozen' : ''}`,
      tensors: {
        out: unset(N * C), mean: unset(N), rstd: unset(N), x: random(N * C).map((x) => x + shift), weight: random(C), bias: random(C),
        dout: random(N * C), dx: random(N * C), dweight: random(C), dbias: random(C),
      },
      forward: (d, t) => d.layerNorm(t.out, t.mean, t.rstd, t.x, t.weight, t.bias, N, C, C === 1 ? 0.1 : 1e-5),
      backward: (d, t) => d.layerNormBackward(t.dx, frozen ? null : t.dweight, frozen ? null : t.dbias, t.dout, t.x, t.weight, t.mean, t.rstd, N, C),
      results: { out: SUM, mean: SUM, rstd: SUM, dx: SUM, dweight: frozen ? EXACT : SUM, dbias: frozen ? EXACT : SUM },
      absolute: ['mean'],
      gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx', ...(frozen ? {} : { weight: 'dweight', bias: 'dbias' }) } },
    });
  }
}

for (const activation of ['gelu', 'gelu_pytorch_tanh', 'sigmoid'] satisfies PlainActivation[]) {
  for (const [n, scale] of [[1, 1], [7, 3], [1031, 3], [40001, 1], [67, 1e4]]) {
    const tensors = { out: unset(n), x: random(n, scale), dout: random(n), dx: unset(n) };
    const absolute = activation === 'sigmoid' ? ['out', 'dx'] : []; // far out it is 0 in f32, and its slope too
    familyCases.push(
      {
        name: `activation ${activation} n=${n} of size ${scale}`,
        tensors,
        forward: (d, t) => d.activation(t.out, t.x, n, activation),
        backward: (d, t) => d.activationBackward(t.dx, t.dout, t.x, n, activation),
        results: { out: EXPONENTIAL, dx: EXPONENTIAL },
        absolute,
        gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx' } },
      },
      {
        name: `activationBackward ${activation} n=${n} of size ${scale} over its dout`,
        tensors: { x: tensors.x, dx: tensors.dout },
        forward: (d, t) => d.activationBackward(t.dx, t.dx, t.x, n, activation),
        results: { dx: EXPONENTIAL },
        absolute,
      },
    );
  }
}

for (const [rows, width, wide, offset] of [[1, 1, 1, 0], [7, 5, 13, 3], [301, 64, 192, 64], [67, 131, 140, 9]]) {
  familyCases.push({
    name: `copyColumns rows=${rows} width=${width} of ${wide} from ${offset}, and back by adding`,
    tensors: { out: unset(rows * width), x: random(rows * wide), dout: random(rows * width), dx: random(rows * wide) },
    forward: (d, t) => d.copyColumns(t.out, 0, width, t.x, offset, wide, rows, width, 0),
    backward: (d, t) => d.copyColumns(t.dx, offset, wide, t.dout, 0, width, rows, width, 1),
    results: { out: EXACT, dx: ROUNDING },
    gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx' } },
  });
}

/** queryStart, queryLength, prefixStart, prefixLength, keyStart, keyLength */
type Fields = [number, number, number, number, number, number];
const LOCAL: { name: string; heads: [H: number, K: number, D: number]; segments: Fields[]; window: number; cap: number }[] = [
  { name: 'uneven sequences', heads: [2, 1, 16], segments: [[0, 1, 0, 0, 0, 1], [1, 9, 0, 0, 1, 9], [10, 37, 0, 0, 10, 37]], window: 4, cap: 0 },
  { name: 'longer than a block of keys', heads: [4, 2, 20], segments: [[0, 150, 0, 0, 0, 150]], window: 70, cap: 3 },
  { name: 'a cap alone', heads: [3, 3, 7], segments: [[0, 23, 0, 0, 0, 23]], window: 0, cap: 2 },
  { name: 'a window over the border of a shared prompt', heads: [4, 2, 16], segments: [[0, 11, 0, 0, 0, 11], [11, 6, 0, 11, 11, 6], [17, 9, 0, 11, 17, 9]], window: 5, cap: 5 },
  { name: 'decoding from a cache', heads: [6, 2, 64], segments: [[0, 1, 0, 0, 90, 9], [1, 1, 60, 20, 5, 7], [2, 3, 60, 20, 20, 30]], window: 12, cap: 4 },
];
for (const { name, heads: [H, K, D], segments, window, cap } of LOCAL) {
  const S = segments.length;
  const Nq = Math.max(...segments.map(([start, length]) => start + length));
  const Nk = Math.max(...segments.map(([, , , , start, length]) => start + length)) + 5;
  /** Rows that nobody sees hold garbage, which must not leak. */
  const seen = (row: number) => segments.some(([, , prefix, prefixLength, start, length]) => (row >= prefix && row < prefix + prefixLength) || (row >= start && row < start + length));
  const keys = (): Float32Array => random(Nk * K * D).map((x, i) => (seen(Math.floor(i / (K * D))) ? x : NaN));
  familyCases.push({
    name: `localAttention, ${name}: H=${H} K=${K} D=${D} window=${window} cap=${cap}`,
    tensors: {
      out: unset(Nq * H * D), lse: unset(Nq * H), q: random(Nq * H * D, 2), k: keys(), v: keys(), segments: Int32Array.from(segments.flat()),
      dout: random(Nq * H * D), dq: random(Nq * H * D), dk: random(Nk * K * D), dv: random(Nk * K * D),
    },
    forward: (d, t) => d.localAttention(t.out, t.lse, t.q, t.k, t.v, t.segments, S, H, K, D, D ** -0.5, window, cap),
    backward: (d, t) => d.localAttentionBackward(t.dq, t.dk, t.dv, t.dout, t.out, t.lse, t.q, t.k, t.v, t.segments, S, H, K, D, D ** -0.5, window, cap),
    results: { out: EXPONENTIAL, lse: EXPONENTIAL, dq: EXPONENTIAL, dk: EXPONENTIAL, dv: EXPONENTIAL },
    gradient: { output: 'out', upstream: 'dout', inputs: { q: 'dq', k: 'dk', v: 'dv' } },
  });
}

for (const [M, V, cap] of [[1, 1, 30], [7, 5, 2], [3, 1031, 30], [67, 257, 1.5]]) {
  const targets = Int32Array.from({ length: M }, (_, m) => (m * 37) % V);
  familyCases.push({
    name: `cappedLogprob M=${M} V=${V} cap=${cap}`,
    tensors: {
      logprobs: unset(M), lse: unset(M), entropy: unset(M), best: new Int32Array(M), capped: unset(M * V), logits: random(M * V, 2), targets,
      dlogprobs: random(M), dlogits: unset(M * V),
    },
    forward(d, t) {
      d.copy(t.capped, 0, t.logits, 0, M * V);
      d.cappedLogprob(t.logprobs, t.lse, t.entropy, t.best, t.capped, t.targets, M, V, cap);
    },
    backward(d, t) {
      d.copy(t.dlogits, 0, t.capped, 0, M * V);
      d.cappedLogprobBackward(t.dlogits, t.dlogprobs, t.targets, t.lse, M, V, cap);
    },
    results: { logprobs: EXPONENTIAL, lse: EXPONENTIAL, entropy: EXPONENTIAL, best: EXACT, capped: EXPONENTIAL, dlogits: EXPONENTIAL },
    absolute: ['logprobs', 'lse', 'entropy'],
    gradient: { output: 'logprobs', upstream: 'dlogprobs', inputs: { logits: 'dlogits' } },
  });
}
