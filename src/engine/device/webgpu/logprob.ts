/** The LM head: logits by chunks of rows, then a workgroup a row; capped logits, whose product is made elsewhere, go the same way. */
import type { Device, Tensor } from '../device.ts';
import type { Gpu, Part } from './gpu.ts';
import { blocksOf, elementwise, FROZEN, type Kernel, LOWEST, TANH, THREADS } from './kernel.ts';
import { type Multiply, weightOf } from './linear.ts';
import type { Memory } from './memory.ts';
import { FILL } from './vectors.ts';

/** Logits held at once while a head is computed: 128 MiB, the least that WebGPU lets a kernel see. */
const LOGITS = 2 ** 25;

/** `at`: elements before the first row of logits; `firstRow`: which of all rows that is. */
function softmaxRow(entropy: boolean, best: boolean, capped: boolean): Kernel {
  const each = `for (var v = lane; v < P.V; v += ${THREADS}u)`;
  return {
    name: `softmax_row${entropy ? ' entropy' : ''}${best ? ' best' : ''}${capped ? ' capped' : ''}`,
    buffers: { logprobs: 'f32', lse: 'f32', ...(entropy ? { entropy: 'f32' } as const : {}), ...(best ? { best: 'i32' } as const : {}), logits: 'f32', targets: 'i32' },
    numbers: { V: 'u32', at: 'u32', firstRow: 'u32', cap: 'f32' }, threads: THREADS,
    reduces: true, shared: `${capped ? TANH : ''}\nvar<workgroup> lowest: atomic<u32>;`,
    main: `
  let row = P.at + block * P.V;
  let m = P.firstRow + block;
  var largest = ${LOWEST};
  ${each} {
    ${capped ? 'logits[row + v] = P.cap * tanh_of(logits[row + v] / P.cap);' : ''}
    largest = max(largest, logits[row + v]);
  }
  ${best ? 'if (lane == 0u) { atomicStore(&lowest, 0xffffffffu); }' : ''}
  let top = max_all(largest, lane);
  var powers = 0.0;
  var weighed = 0.0;
  ${each} {
    let away = logits[row + v] - top;
    let power = exp(away);
    powers += power;
    ${entropy ? 'weighed += power * away;' : ''}
    ${best ? 'if (away == 0.0) { atomicMin(&lowest, v); }' : ''}
  }
  let sum = sum_all(powers, lane);
  ${entropy ? 'let mean = sum_all(weighed, lane) / sum;' : ''}
  storageBarrier();
  if (lane != 0u) { return; }
  lse[m] = top + log(sum);
  logprobs[m] = logits[row + u32(targets[m])] - top - log(sum);
  ${entropy ? 'entropy[m] = log(sum) - mean;' : ''}
  ${best ? 'best[m] = i32(atomicLoad(&lowest));' : ''}`,
  };
}
const variants = new Map<string, Kernel>();
function softmaxRowOf(entropy: boolean, best: boolean, capped: boolean): Kernel {
  const key = `${entropy} ${best} ${capped}`;
  let kernel = variants.get(key);
  if (!kernel) variants.set(key, (kernel = softmaxRow(entropy, best, capped)));
  return kernel;
}

const softmaxBackward = (capped: boolean): Kernel => elementwise({
  name: `softmax_backward${capped ? ' capped' : ''}`, buffers: { logits: 'f32', dlogprobs: 'f32', targets: 'i32', lse: 'f32' }, numbers: { V: 'u32', at: 'u32', firstRow: 'u32', cap: 'f32' },
  main: `
  let m = P.firstRow + i / P.V;
  let value = logits[P.at + i];
  let here = select(0.0, 1.0, i % P.V == u32(targets[m]));
  let d = dlogprobs[m] * (here - exp(value - lse[m])); // undoes: logprob = logit[target] − lse
  ${capped ? 'let turned = value / P.cap;\n  logits[P.at + i] = d * (1.0 - turned * turned); // undoes: capped = cap · tanh(logit / cap)' : 'logits[P.at + i] = d;'}`,
});
const SOFTMAX_BACKWARD = softmaxBackward(false);
const CAPPED_BACKWARD = softmaxBackward(true);

export function createLogprobKernels(gpu: Gpu, memory: Memory, multiply: Multiply): Pick<Device, 'logprob' | 'logprobBackward' | 'cappedLogprob' | 'cappedLogprobBackward'> {
  const f32 = (x: Tensor): Part => memory.part(x, 'f32');
  const i32 = (x: Tensor): Part => memory.part(x, 'i32');
  type Head = { x: Tensor; w: Tensor; C: number; V: number };

  /** Visits rows [from, from + rows) of M with where their logits lie, element `at` of a part, and whether those were kept. */
  function inChunks(M: number, V: number, kept: Tensor | null, visit: (chunk: { from: number; rows: number; logits: Part; at: number; kept: boolean }) => void): void {
    const inKept = kept ? Math.min(M, Math.floor(kept.length / V)) : 0;
    const most = Math.max(1, Math.floor(LOGITS / V));
    for (let from = 0; from < M; ) {
      const isKept = from < inKept;
      const rows = Math.min(most, (isKept ? inKept : M) - from);
      visit({ from, rows, logits: isKept ? f32(kept!) : memory.scratch('logits', rows * V), at: isKept ? from * V : 0, kept: isKept });
      from += rows;
    }
  }
  const logitsOf = ({ x, w, C, V }: Head, from: number, rows: number, logits: Part, at: number): void =>
    multiply('forward', {
      c: { part: logits, at }, a: { part: f32(x), at: from * C }, w: weightOf(memory, w, FROZEN),
      M: rows, N: V, K: C, alpha: 1, beta: 0,
    });
  const softmax = (logprobs: Tensor, lse: Tensor, entropy: Tensor | null, best: Tensor | null, targets: Tensor, logits: Part, V: number, at: number, from: number, rows: number, cap: number): void =>
    gpu.run(
      softmaxRowOf(entropy !== null, best !== null, cap !== 0),
      { logprobs: f32(logprobs), lse: f32(lse), ...(entropy ? { entropy: f32(entropy) } : {}), ...(best ? { best: i32(best) } : {}), logits, targets: i32(targets) },
      { V, at, firstRow: from, cap }, rows,
    );

  return {
    logprob(logprobs, lse, entropy, best, kept, x, w, targets, M, C, V) {
      inChunks(M, V, kept, ({ from, rows, logits, at }) => {
        logitsOf({ x, w, C, V }, from, rows, logits, at);
        softmax(logprobs, lse, entropy, best, targets, logits, V, at, from, rows, 0);
      });
    },
    logprobBackward(dx, dw, kept, dlogprobs, x, w, targets, lse, M, C, V, beta) {
      if (M === 0 && dw && beta === 0) gpu.run(FILL, { x: f32(dw) }, { n: V * C, bits: 0 }, blocksOf(V * C));
      inChunks(M, V, kept, ({ from, rows, logits, at, kept: isKept }) => {
        if (!isKept) logitsOf({ x, w, C, V }, from, rows, logits, at);
        gpu.run(SOFTMAX_BACKWARD, { logits, dlogprobs: f32(dlogprobs), targets: i32(targets), lse: f32(lse) }, { n: rows * V, V, at, firstRow: from, cap: 0 }, blocksOf(rows * V));
        const dlogits = { part: logits, at };
        multiply('input', {
          c: { part: f32(dx), at: from * C }, a: dlogits, w: weightOf(memory, w, FROZEN),
          M: rows, N: C, K: V, alpha: 1, beta: 0,
        }); // undoes, through x: logit = x · w
        if (dw) multiply('weight', { c: { part: f32(dw), at: 0 }, a: dlogits, w: { part: f32(x), at: from * C, storage: 'f32' }, M: V, N: C, K: rows, alpha: 1, beta: from === 0 ? beta : 1 }); // … through w
      });
    },
    cappedLogprob: (logprobs, lse, entropy, best, logits, targets, M, V, cap) => softmax(logprobs, lse, entropy, best, targets, f32(logits), V, 0, 0, M, cap),
    cappedLogprobBackward: (logits, dlogprobs, targets, lse, M, V, cap) =>
      gpu.run(CAPPED_BACKWARD, { logits: f32(logits), dlogprobs: f32(dlogprobs), targets: i32(targets), lse: f32(lse) }, { n: M * V, V, at: 0, firstRow: 0, cap }, blocksOf(M * V)),
  };
}
