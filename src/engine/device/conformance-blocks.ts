/**
 * The conformance cases of frozen matrices in blocks: the rest of conformance-cases.ts, under its rules. Data only. A device may hold the numbers
 * they mean densely (TensorFlow.js does): what is asked is that it computes with those very numbers.
 */
import { weightBlocks } from '../formats/weight-blocks.ts';
import { createNormal, type Case, type Tensors } from './conformance-cases.ts';
import type { BlockStorage, Device, Tensor } from './device.ts';

const EXACT = 0;
/** f32 sums of up to some thousand terms of size 1 in any order. */
const SUM = 1e-5;
/** exp to a few units in the last place, then sums. */
const EXPONENTIAL = 2e-5;

const normal = createNormal(20261122);
const random = (n: number, scale = 1): Float32Array => Float32Array.from({ length: n }, () => scale * normal());
const unset = (n: number): Float32Array => new Float32Array(n).fill(NaN);
const indices = (n: number, below: number): Int32Array => Int32Array.from({ length: n }, () => Math.floor(Math.abs(normal()) * 1e6) % below);

export const blockCases: Case[] = [];

/** From few rows to many, one output and odd numbers of them, inputs of one block and of several depths of a packed panel. */
const SHAPES = [[1, 64, 1], [1, 192, 131], [4, 576, 17], [31, 128, 67], [33, 64, 33], [67, 960, 257], [150, 704, 96]];

for (const storage of ['int8', 'q4_0', 'nf4'] as const satisfies BlockStorage[]) {
  for (const [N, I, O] of storage === 'nf4' ? SHAPES : [...SHAPES, [5, 32, 7], [70, 352, 40]]) {
    const bytes = weightBlocks(storage).quantize(random(O * I));
    const withBlocks = (d: Device, use: (w: Tensor) => void): void => {
      const w = d.alloc(O * I, storage);
      d.write(w, bytes);
      use(w);
      d.free(w);
    };
    for (const [alpha, beta] of [[1, 0], [-2, 0.25]]) {
      blockCases.push({
        name: `linear N=${N} I=${I} O=${O} ${storage} alpha=${alpha} beta=${beta}, and gatherRows`,
        tensors: {
          out: beta === 0 ? unset(N * O) : random(N * O), x: random(N * I), bias: random(O), index: indices(N, O), rows: unset(N * I),
          dout: random(N * O), dx: beta === 0 ? unset(N * I) : random(N * I),
        },
        forward: (d, t) => withBlocks(d, (w) => {
          d.linear(t.out, t.x, w, beta === 0 ? null : t.bias, N, I, O, alpha, beta);
          d.gatherRows(t.rows, w, t.index, N, I);
        }),
        backward: (d, t) => withBlocks(d, (w) => d.linearBackwardInput(t.dx, t.dout, w, N, I, O, alpha, beta)),
        results: { out: SUM, rows: EXACT, dx: SUM },
        absolute: O < 64 ? ['dx', 'out'] : [],
        gradient: { output: 'out', upstream: 'dout', inputs: beta === 0 ? { x: 'dx' } : {} },
      });
    }
    blockCases.push({
      name: `logprob M=${N} C=${I} V=${O} ${storage}`,
      tensors: {
        logprobs: unset(N), lse: unset(N), best: new Int32Array(N), x: random(N * I, 0.1), targets: indices(N, O), dlogprobs: random(N), dx: unset(N * I),
      },
      forward: (d, t) => withBlocks(d, (w) => d.logprob(t.logprobs, t.lse, null, t.best, null, t.x, w, t.targets, N, I, O)),
      backward: (d, t: Tensors) => withBlocks(d, (w) => d.logprobBackward(t.dx, null, null, t.dlogprobs, t.x, w, t.targets, t.lse, N, I, O, 1)),
      results: { logprobs: EXPONENTIAL, lse: EXPONENTIAL, best: EXACT, dx: EXPONENTIAL },
      absolute: ['logprobs', 'dx'],
      gradient: { output: 'logprobs', upstream: 'dlogprobs', inputs: { x: 'dx' } },
    });
  }
}
