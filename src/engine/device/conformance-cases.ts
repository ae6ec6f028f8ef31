/**
 * What every device must answer: kernel calls with their starting tensors, the results to compare and how close they must come.
 * Data only: conformance.test.ts runs them on each device and on the f64 oracle, and checks backward calls by central differences.
 * Shapes are odd on purpose: 1, primes, larger than any tile, one decoded token, key/value heads shared by query heads.
 * A result that starts as NaN must be written without being read; one that starts random must be accumulated into.
 */
import type { Activation, Device, HostArray, Tensor } from './device.ts';

/** Stored as it came, or an integer: no room for error. */
const EXACT = 0;
/** A few f32 roundings of one element (2⁻²⁴ ≈ 6e-8 each), nothing summed. */
const ROUNDING = 5e-7;
/** f32 sums of up to some thousand terms of size 1 in any order: about √n roundings of the running sum, with room for a bad draw. */
const SUM = 1e-5;
/** exp and tanh to a few units in the last place, then sums as above. */
const EXPONENTIAL = 2e-5;
/** Logits of some hundreds carry 2⁻²⁴ · 500 ≈ 3e-5 of rounding each, and exp turns that into relative error of every probability. */
const LARGE_LOGITS = 1e-3;
/** A sum kept in f64 is rounded once: 2⁻²⁴ of itself. */
const ONE_ROUNDING = 6e-8;

export type Tensors = Record<string, Tensor>;

export type Case = {
  name: string;
  /** What each tensor holds before the call; Float32Array makes f32, Uint16Array bf16, Int32Array i32. */
  tensors: Record<string, HostArray>;
  forward(device: Device, t: Tensors): void;
  backward?(device: Device, t: Tensors): void;
  /** Largest error allowed of each result, relative to the largest magnitude in it (or to 1 where `absolute` names it). */
  results: Record<string, number>;
  absolute?: string[];
  /** Tensors the device may fill as it likes. */
  scratch?: string[];
  /** d(Σ output · upstream) by each input, to be found in the tensor named for it. */
  gradient?: { output: string; upstream: string; inputs: Record<string, string> };
};

/** mulberry32 under Box and Muller: standard normal numbers, the same on every run. */
export function createNormal(seed: number): () => number {
  const uniform = (): number => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const normal = createNormal(20240607);
const random = (n: number, scale = 1): Float32Array => Float32Array.from({ length: n }, () => scale * normal());
/** To be written, never read. */
const unset = (n: number): Float32Array => new Float32Array(n).fill(NaN);
const indices = (n: number, below: number): Int32Array =>
  Int32Array.from({ length: n }, () => Math.floor(Math.abs(normal()) * 1e6) % below);
/** The upper half of an f32 is a bf16; truncated, which is as random as before. */
const bf16 = (values: Float32Array): Uint16Array => Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);

export const cases: Case[] = [];

// ── plain vectors ─────────────────────────────────────────────────────────────────────────────────────────────────────
for (const n of [1, 7, 1031, 70001]) {
  cases.push(
    {
      name: `fill n=${n}`,
      tensors: { x: random(n + 3), ids: indices(n + 3, 9) },
      forward(d, t) {
        d.fill(t.x, -1.5, n);
        d.fill(t.ids, 7, n);
      },
      results: { x: EXACT, ids: EXACT },
    },
    {
      name: `copy n=${n} between offsets`,
      tensors: { out: random(n + 9), x: random(n + 9) },
      forward: (d, t) => d.copy(t.out, 5, t.x, 2, n),
      results: { out: EXACT },
    },
    {
      name: `axpy n=${n}`,
      tensors: { out: random(n + 3), x: random(n + 3) },
      forward: (d, t) => d.axpy(t.out, t.x, -0.7, n),
      results: { out: ROUNDING },
    },
    {
      name: `sumSquares n=${n}, magnitudes from 1e-9 to 1e9`,
      tensors: { out: random(4), x: random(n + 3).map((x, i) => x * 10 ** ((i % 19) - 9)) },
      forward: (d, t) => d.sumSquares(t.out, 2, t.x, n),
      results: { out: ONE_ROUNDING },
    },
  );
  for (const [p, seed] of [[0, 1], [0.1, 0], [0.5, 0xffffffff], [0.9, 123456789]]) {
    // Kept elements are never near 0, so a mask that differs anywhere is an error of their whole size.
    const away = (): Float32Array => random(n).map((x) => x + 2 * Math.sign(x));
    cases.push({
      name: `dropout n=${n} p=${p} seed=${seed}`,
      tensors: { out: unset(n), x: away(), dx: away(), dout: random(n), inPlace: away() },
      forward(d, t) {
        d.dropout(t.out, t.x, n, p, seed);
        d.dropout(t.inPlace, t.inPlace, n, p, seed);
      },
      backward(d, t) {
        d.copy(t.dx, 0, t.dout, 0, n);
        d.dropout(t.dx, t.dx, n, p, seed);
      },
      results: { out: ROUNDING, inPlace: ROUNDING, dx: ROUNDING },
    });
  }
}

// ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
for (const [N, C, rows] of [[1, 1, 1], [1, 7, 3], [5, 64, 131], [301, 129, 17], [1031, 80, 259]]) {
  const index = indices(N, rows);
  cases.push(
    {
      name: `gatherRows N=${N} C=${C} and scatterAddRows back, ${rows} rows`,
      tensors: { out: unset(N * C), table: random(rows * C), index, dout: random(N * C), dtable: random(rows * C) },
      forward: (d, t) => d.gatherRows(t.out, t.table, t.index, N, C),
      backward: (d, t) => d.scatterAddRows(t.dtable, t.dout, t.index, N, C),
      results: { out: EXACT, dtable: SUM },
      gradient: { output: 'out', upstream: 'dout', inputs: { table: 'dtable' } },
    },
    {
      name: `gatherRows N=${N} C=${C} of a bf16 table`,
      tensors: { out: unset(N * C), table: bf16(random(rows * C)), index },
      forward: (d, t) => d.gatherRows(t.out, t.table, t.index, N, C),
      results: { out: EXACT },
    },
  );
}

// ── linear ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const LINEAR_SHAPES = [
  [1, 1, 1], [1, 7, 5], [3, 1, 2], [5, 3, 1], [1, 257, 131], [1, 1031, 2053], [2, 64, 96], [4, 48, 1031], [13, 64, 80],
  [17, 2053, 3], [67, 129, 257], [128, 128, 128], [301, 384, 131], [1031, 67, 65],
  [70, 100, 8], [131, 12, 67], [1100, 4, 50], [65, 97, 32], // as low-rank updates have them
];
for (const [at, [N, I, O]] of LINEAR_SHAPES.entries()) {
  for (const storage of ['f32', 'bf16']) {
    const w = random(O * I);
    for (const [alpha, beta] of [[1, 0], [0.5, 1], [-2, 0.25]]) {
      const biased = (at + (storage === 'f32' ? 0 : 1) + (alpha === 1 ? 0 : 1)) % 2 === 0;
      cases.push({
        name: `linear N=${N} I=${I} O=${O} ${storage} alpha=${alpha} beta=${beta}${biased ? ' bias' : ''}`,
        tensors: {
          out: beta === 0 ? unset(N * O) : random(N * O),
          x: random(N * I),
          w: storage === 'f32' ? w : bf16(w),
          bias: random(O),
          dout: random(N * O),
          dx: beta === 0 ? unset(N * I) : random(N * I),
          dw: beta === 0 ? unset(O * I) : random(O * I),
          dbias: random(O),
        },
        forward: (d, t) => d.linear(t.out, t.x, t.w, biased ? t.bias : null, N, I, O, alpha, beta),
        backward(d, t) {
          d.linearBackwardInput(t.dx, t.dout, t.w, N, I, O, alpha, beta);
          d.linearBackwardWeight(t.dw, t.dout, t.x, N, I, O, alpha, beta);
          d.linearBackwardBias(t.dbias, t.dout, N, O);
        },
        results: { out: SUM, dx: SUM, dw: SUM, dbias: SUM },
        // a size-1 sum may cancel against beta · out, so errors there count against the terms, which are of size 1
        absolute: N * O < 64 || N * I < 64 ? ['out', 'dx', 'dbias', 'dw'] : [],
        gradient: {
          output: 'out',
          upstream: 'dout',
          // dx and dw keep beta of what they held; the check subtracts what they held in full
          inputs: {
            ...(beta === 0.25 ? {} : { x: 'dx', ...(storage === 'f32' ? { w: 'dw' } : {}) }),
            ...(biased ? { bias: 'dbias' } : {}),
          },
        },
      });
    }
  }
}

// ── q8_0 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
/** Blocks whose scale is 1 and whose numbers are halves, so that every second one is a tie; and blocks of zeros. */
const ties = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => (i % 96 >= 64 ? 0 : i % 32 === 7 ? -127 : ((i * 37) % 253) / 2 - 63));
for (const [N, I, O] of [[1, 32, 1], [1, 64, 131], [1, 1536, 48], [2, 2080, 17], [4, 96, 16], [8, 576, 80], [13, 64, 1031], [67, 128, 257], [301, 384, 33]]) {
  for (const [kind, make] of Object.entries({ normal: random, ties, tiny: (n: number) => random(n, 1e-6) })) {
    for (const [alpha, beta] of kind === 'normal' ? [[1, 0], [-2, 0.25]] : [[1, 0]]) {
      const withQuantized = (d: Device, t: Tensors, use: (w: Tensor) => void): void => {
        const w = d.alloc(O * I, 'q8_0');
        d.quantize(w, t.w, O, I);
        use(w);
        d.free(w);
      };
      cases.push({
        name: `linear N=${N} I=${I} O=${O} q8_0 of ${kind} numbers, alpha=${alpha} beta=${beta}, and gatherRows`,
        tensors: {
          out: beta === 0 ? unset(N * O) : random(N * O), x: make(N * I), w: make(O * I), bias: random(O), index: indices(N, O), rows: unset(N * I),
        },
        forward: (d, t) => withQuantized(d, t, (w) => {
          d.linear(t.out, t.x, w, beta === 0 ? null : t.bias, N, I, O, alpha, beta);
          d.gatherRows(t.rows, w, t.index, N, I);
        }),
        results: { out: SUM, rows: EXACT },
      });
    }
  }
}

// ── rmsNorm ───────────────────────────────────────────────────────────────────────────────────────────────────────────
for (const [N, C, scale] of [[1, 1, 1], [1, 7, 1], [5, 64, 1], [17, 129, 1], [131, 1031, 1], [1031, 80, 1], [7, 67, 1e4]]) {
  for (const frozen of [false, true]) {
    cases.push({
      name: `rmsNorm N=${N} C=${C} of size ${scale}${frozen ? ', weight frozen' : ''}`,
      tensors: {
        out: unset(N * C), rstd: unset(N), x: random(N * C, scale), weight: random(C),
        dout: random(N * C, scale), dx: random(N * C), dweight: random(C),
      },
      forward: (d, t) => d.rmsNorm(t.out, t.rstd, t.x, t.weight, N, C, 1e-6),
      backward: (d, t) => d.rmsNormBackward(t.dx, frozen ? null : t.dweight, t.dout, t.x, t.weight, t.rstd, N, C),
      results: { out: SUM, rstd: SUM, dx: SUM, dweight: frozen ? EXACT : SUM },
      gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx', ...(frozen ? {} : { weight: 'dweight' }) } },
    });
  }
}
cases.push({
  name: 'rmsNorm of a row of zeros divides by √eps, not by 0',
  tensors: { out: unset(21), rstd: unset(3), x: random(21).map((x, i) => (i < 7 ? 0 : x)), weight: random(7) },
  forward: (d, t) => d.rmsNorm(t.out, t.rstd, t.x, t.weight, 3, 7, 1e-6),
  results: { out: SUM, rstd: SUM },
});

// ── rope ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
const ROPE_SHAPES = [[1, 1, 2, 2], [1, 14, 64, 64], [5, 3, 16, 16], [7, 2, 80, 32], [67, 5, 128, 128], [131, 3, 80, 80], [3, 1, 22, 14]];
for (const [N, H, D, R] of ROPE_SHAPES) {
  const angles = random(41 * (R / 2), 3);
  const cosSin = Float32Array.from({ length: 41 * R }, (_, i) => {
    const angle = angles[Math.floor(i / R) * (R / 2) + (i % (R / 2))];
    return i % R < R / 2 ? Math.cos(angle) : Math.sin(angle);
  });
  const n = N * H * D;
  cases.push({
    name: `rope N=${N} H=${H} D=${D} R=${R}, positions in no order`,
    tensors: { x: random(n), out: unset(n), cosSin, positions: indices(N, 41), dout: random(n), dx: unset(n) },
    forward(d, t) {
      d.copy(t.out, 0, t.x, 0, n);
      d.rope(t.out, t.cosSin, t.positions, N, H, D, R, 1);
    },
    backward(d, t) {
      d.copy(t.dx, 0, t.dout, 0, n);
      d.rope(t.dx, t.cosSin, t.positions, N, H, D, R, -1);
    },
    results: { out: ROUNDING, dx: ROUNDING },
    gradient: { output: 'out', upstream: 'dout', inputs: { x: 'dx' } },
  });
}

// ── attention ─────────────────────────────────────────────────────────────────────────────────────────────────────────
type Span = { start: number; length: number };
type Spans = { query: Span; prefix?: Span; key?: Span };
type AttentionCase = { name: string; heads: [H: number, K: number, D: number]; segments: Spans[]; large?: boolean };
const span = (start: number, length: number): Span => ({ start, length });
/** Sequences end to end, each seeing itself. */
const packed = (...lengths: number[]): { query: Span }[] =>
  lengths.map((length, s) => ({ query: span(lengths.slice(0, s).reduce((a, b) => a + b, 0), length) }));
/** A prompt that two answers continue, then a sequence of its own, then a lone token. */
const preference = (prompt: number, chosen: number, rejected: number, own: number): AttentionCase['segments'] => [
  { query: span(0, prompt) },
  { query: span(prompt, chosen), prefix: span(0, prompt) },
  { query: span(prompt + chosen, rejected), prefix: span(0, prompt) },
  { query: span(prompt + chosen + rejected, own) },
  { query: span(prompt + chosen + rejected + own, 1) },
];
/** One new token per sequence against a cache; the third has a prefix elsewhere in the cache, shared with the fourth. */
const decoding: AttentionCase['segments'] = [
  { query: span(0, 1), key: span(200, 9) },
  { query: span(1, 1), key: span(7, 1) },
  { query: span(2, 1), prefix: span(160, 31), key: span(11, 131) },
  { query: span(3, 1), prefix: span(160, 31), key: span(150, 3) },
];
/** Several new tokens per sequence, with older keys in the cache: queryLength < keyLength. */
const chunk: AttentionCase['segments'] = [
  { query: span(3, 5), key: span(40, 12) },
  { query: span(0, 3), prefix: span(1, 17), key: span(20, 3) },
  { query: span(8, 70), prefix: span(1, 17), key: span(60, 101) },
];
/** A prompt and samples of it of lengths 1, 6, 11, … */
const samples = (prompt: number, count: number): AttentionCase['segments'] => {
  const [own, ...rest] = packed(prompt, ...Array.from({ length: count }, (_, i) => 1 + 5 * i));
  return [own, ...rest.map((segment) => ({ ...segment, prefix: span(0, prompt) }))];
};
const ATTENTION: AttentionCase[] = [
  { name: 'one token', heads: [1, 1, 16], segments: packed(1) },
  { name: 'uneven sequences', heads: [2, 2, 16], segments: packed(1, 7, 2, 37) },
  { name: 'longer than a tile', heads: [2, 1, 64], segments: packed(131, 1, 67) },
  { name: 'shared prompt', heads: [6, 2, 80], segments: preference(29, 5, 41, 13) },
  { name: 'shared prompt longer than a tile', heads: [4, 4, 16], segments: preference(97, 67, 3, 2) },
  { name: 'one key/value head for all', heads: [3, 1, 128], segments: preference(5, 7, 1, 33) },
  { name: 'decoding from a cache', heads: [14, 2, 64], segments: decoding },
  { name: 'decoding from a cache', heads: [5, 5, 80], segments: decoding },
  { name: 'one token against a long cache', heads: [2, 1, 8], segments: [{ query: span(0, 1), prefix: span(600, 70), key: span(3, 480) }] },
  {
    name: 'a token with few keys and some with many', heads: [3, 1, 8],
    segments: [{ query: span(3, 1), key: span(590, 2) }, { query: span(0, 3), key: span(0, 580) }],
  },
  { name: 'a chunk of tokens against a cache', heads: [4, 2, 128], segments: chunk },
  { name: 'head size of no vector', heads: [3, 3, 7], segments: preference(11, 5, 3, 19) },
  { name: 'nine samples of one prompt', heads: [2, 1, 16], segments: samples(67, 9) },
  { name: 'scores of some hundreds', heads: [4, 2, 64], segments: preference(19, 23, 5, 40), large: true },
];
for (const { name, heads: [H, K, D], segments, large } of ATTENTION) {
  const S = segments.length;
  const table = Int32Array.from(segments.flatMap(({ query, prefix, key = query }) =>
    [query.start, query.length, prefix?.start ?? 0, prefix?.length ?? 0, key.start, key.length]));
  const Nq = Math.max(...segments.map(({ query }) => query.start + query.length));
  const seen = segments.flatMap(({ query, prefix, key = query }) => (prefix ? [prefix, key] : [key]));
  const Nk = Math.max(...seen.map(({ start, length }) => start + length)) + 5;
  /** Rows of the cache that nobody sees hold garbage, which must not leak through a mask. */
  const keys = (scale: number): Float32Array => random(Nk * K * D, scale).map((x, i) => {
    const row = Math.floor(i / (K * D));
    return seen.some(({ start, length }) => row >= start && row < start + length) ? x : NaN;
  });
  const tolerance = large ? LARGE_LOGITS : EXPONENTIAL;
  const scale = D ** -0.5;
  cases.push({
    name: `attention, ${name}: H=${H} K=${K} D=${D} S=${S} Nq=${Nq}`,
    tensors: {
      out: unset(Nq * H * D), lse: unset(Nq * H), q: random(Nq * H * D, large ? 100 : 2), k: keys(1), v: keys(1), segments: table,
      dout: random(Nq * H * D), dq: random(Nq * H * D), dk: random(Nk * K * D), dv: random(Nk * K * D),
    },
    forward: (d, t) => d.attention(t.out, t.lse, t.q, t.k, t.v, t.segments, S, H, K, D, scale),
    backward: (d, t) => d.attentionBackward(t.dq, t.dk, t.dv, t.dout, t.out, t.lse, t.q, t.k, t.v, t.segments, S, H, K, D, scale),
    results: { out: tolerance, lse: tolerance, dq: tolerance, dk: tolerance, dv: tolerance },
    gradient: { output: 'out', upstream: 'dout', inputs: { q: 'dq', k: 'dk', v: 'dv' } },
  });
}

// ── gatedActivation ───────────────────────────────────────────────────────────────────────────────────────────────────
for (const activation of ['silu', 'gelu_pytorch_tanh'] satisfies Activation[]) {
  for (const [n, scale] of [[1, 1], [7, 3], [1031, 3], [70001, 1], [67, 1e4]]) {
    const tensors = { out: unset(n), gate: random(n, scale), up: random(n), dout: random(n), dgate: unset(n), dup: unset(n) };
    cases.push({
      name: `gatedActivation ${activation} n=${n} of size ${scale}`,
      tensors,
      forward: (d, t) => d.gatedActivation(t.out, t.gate, t.up, n, activation),
      backward: (d, t) => d.gatedActivationBackward(t.dgate, t.dup, t.dout, t.gate, t.up, n, activation),
      results: { out: EXPONENTIAL, dgate: EXPONENTIAL, dup: EXPONENTIAL },
      gradient: { output: 'out', upstream: 'dout', inputs: { gate: 'dgate', up: 'dup' } },
    });
    for (const over of ['dgate', 'dup']) {
      cases.push({
        name: `gatedActivationBackward ${activation} n=${n} of size ${scale} over its dout in ${over}`,
        tensors: { ...tensors, [over]: tensors.dout },
        forward: (d, t) => d.gatedActivationBackward(t.dgate, t.dup, t[over], t.gate, t.up, n, activation),
        results: { dgate: EXPONENTIAL, dup: EXPONENTIAL },
      });
    }
  }
}

// ── logprob ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const LOGPROB_SHAPES = [
  [1, 1, 1], [1, 7, 5], [3, 64, 257], [37, 80, 1031], [131, 48, 4099], [1, 64, 9973], [67, 7, 129], [521, 5, 2053], [11, 64, 521, 1],
];
for (const [at, [M, C, V, large]] of LOGPROB_SHAPES.entries()) {
  const beta = at % 2;
  for (const storage of ['f32', 'bf16']) {
    // logits of size about 1, so that no probability is all of it; or of hundreds, where a naive exp overflows
    const [x, w] = [random(M * C, large ? 20 : C ** -0.5), random(V * C)];
    const tolerance = large ? LARGE_LOGITS : EXPONENTIAL;
    const tensors = {
      logprobs: unset(M), lse: unset(M), entropy: unset(M), best: new Int32Array(M).fill(-1), x,
      w: storage === 'f32' ? w : bf16(w), targets: indices(M, V), dlogprobs: random(M), dx: unset(M * C), dw: beta === 0 ? unset(V * C) : random(V * C),
      kept: unset(Math.min(M, 512) * V), // of 521 rows, the last nine are made again
    };
    cases.push(
      {
        name: `logprob M=${M} C=${C} V=${V} ${storage}${large ? ', logits of hundreds' : ''}, with entropy and best`,
        tensors,
        forward: (d, t) => d.logprob(t.logprobs, t.lse, t.entropy, t.best, t.kept, t.x, t.w, t.targets, M, C, V),
        backward: (d, t) => d.logprobBackward(t.dx, t.dw, t.kept, t.dlogprobs, t.x, t.w, t.targets, t.lse, M, C, V, beta),
        results: { logprobs: tolerance, lse: tolerance, entropy: tolerance, best: EXACT, dx: tolerance, dw: tolerance },
        // lse − Σ p · logit cancels towards 0, and with one token in the vocabulary everything is 0
        absolute: V === 1 ? ['entropy', 'logprobs', 'dx', 'dw'] : ['entropy'],
        scratch: ['kept'],
        gradient: { output: 'logprobs', upstream: 'dlogprobs', inputs: { x: 'dx', ...(storage === 'f32' ? { w: 'dw' } : {}) } },
      },
      {
        name: `logprob M=${M} C=${C} V=${V} ${storage}${large ? ', logits of hundreds' : ''}, head frozen`,
        tensors,
        forward: (d, t) => d.logprob(t.logprobs, t.lse, null, null, null, t.x, t.w, t.targets, M, C, V),
        backward: (d, t) => d.logprobBackward(t.dx, null, null, t.dlogprobs, t.x, t.w, t.targets, t.lse, M, C, V, 1),
        results: { logprobs: tolerance, lse: tolerance, dx: tolerance, entropy: EXACT, best: EXACT, dw: EXACT },
        absolute: V === 1 ? ['logprobs', 'dx'] : [],
      },
    );
  }
}
{
  // Small whole numbers add exactly in any order. A logit is ±(id mod 11), so the best is id 10 where x > 0 and id 0 where x < 0.
  const [M, C, V] = [5, 3, 2053];
  cases.push({
    name: 'logprob best is the lowest id on a tie',
    tensors: {
      logprobs: unset(M), lse: unset(M), entropy: unset(M), best: new Int32Array(M).fill(-1),
      x: Float32Array.from({ length: M * C }, (_, i) => (i % C === 0 ? (i % 2 === 0 ? 1 : -1) : 0)),
      w: Float32Array.from({ length: V * C }, (_, i) => Math.floor(i / C) % 11), targets: indices(M, V),
    },
    forward: (d, t) => d.logprob(t.logprobs, t.lse, t.entropy, t.best, null, t.x, t.w, t.targets, M, C, V),
    results: { best: EXACT, lse: EXPONENTIAL, logprobs: EXPONENTIAL, entropy: EXPONENTIAL },
  });
}

// ── adamw ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
for (const n of [1, 7, 1031, 70001]) {
  for (const [step, weightDecay, gradScale, lr] of [[1, 0, 1, 0.1], [2, 0.1, 0.5, 0.1], [1000, 0.01, 3, 0.05]]) {
    // at step 1 the moments are 0; every fifth element never saw a gradient, and must not divide 0 by 0
    const seen = (x: number, i: number): number => (i % 5 === 4 ? 0 : x);
    cases.push({
      name: `adamw n=${n} step=${step} weightDecay=${weightDecay} gradScale=${gradScale}`,
      tensors: {
        w: random(n + 3), grad: random(n + 3).map(seen),
        m: random(n + 3, step === 1 ? 0 : 0.1).map(seen),
        v: random(n + 3, step === 1 ? 0 : 1).map((x, i) => seen(x * x, i)),
      },
      forward: (d, t) => d.adamw(t.w, t.grad, t.m, t.v, n, lr, 0.9, 0.999, 1e-8, weightDecay, step, gradScale),
      // 1 − beta2 at step 1 leaves v small: compare it to its own largest, as every result is
      results: { w: 2e-6, m: ROUNDING, v: ROUNDING, grad: EXACT },
    });
  }
}

// ── nothing to do ─────────────────────────────────────────────────────────────────────────────────────────────────────
cases.push({
  name: 'sizes of zero leave everything as it was',
  tensors: { a: random(64), b: random(64), c: random(64), d: random(64), ids: indices(64, 2) },
  forward(d, t) {
    d.fill(t.a, 1, 0);
    d.copy(t.a, 0, t.b, 0, 0);
    d.axpy(t.a, t.b, 1, 0);
    d.dropout(t.a, t.b, 0, 0.5, 1);
    d.gatherRows(t.a, t.b, t.ids, 0, 8);
    d.scatterAddRows(t.a, t.b, t.ids, 0, 8);
    d.linear(t.a, t.b, t.c, null, 0, 8, 8, 1, 0);
    d.linearBackwardInput(t.a, t.b, t.c, 0, 8, 8, 1, 0);
    d.linearBackwardWeight(t.a, t.b, t.c, 0, 8, 8, 1, 1);
    d.linearBackwardBias(t.a, t.b, 0, 8);
    d.rmsNorm(t.a, t.b, t.c, t.d, 0, 8, 1e-6);
    d.rmsNormBackward(t.a, t.b, t.c, t.c, t.d, t.d, 0, 8);
    d.rope(t.a, t.b, t.ids, 0, 2, 8, 8, 1);
    d.attention(t.a, t.b, t.c, t.c, t.d, t.ids, 0, 2, 1, 8, 1);
    d.attentionBackward(t.a, t.b, t.b, t.c, t.c, t.d, t.c, t.c, t.d, t.ids, 0, 2, 1, 8, 1);
    d.gatedActivation(t.a, t.b, t.c, 0, 'silu');
    d.gatedActivationBackward(t.a, t.b, t.c, t.c, t.d, 0, 'silu');
    d.logprob(t.a, t.b, null, null, null, t.c, t.d, t.ids, 0, 8, 8);
    d.logprobBackward(t.a, t.b, null, t.c, t.c, t.d, t.ids, t.d, 0, 8, 8, 1);
    d.adamw(t.a, t.b, t.c, t.d, 0, 0.1, 0.9, 0.999, 1e-8, 0, 1, 1);
  },
  results: { a: EXACT, b: EXACT, c: EXACT, d: EXACT },
});
