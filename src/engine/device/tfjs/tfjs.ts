/**
 * The TensorFlow.js device: device.ts's kernels as TensorFlow.js ops, so that the engine runs wherever TensorFlow.js does. Not for speed by itself: each
 * kernel is a few ops, fused only where TensorFlow.js has the fused one, and sums run in f32 in whatever order the backend chooses.
 * Same inputs give the same bits on one backend; another backend, or TensorFlow with other threads, may round otherwise.
 */
import { totalmem } from 'node:os';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { dequantizeQ80, Q8_0_BLOCK, quantizeQ80 } from '../../formats/q8-0.ts';
import type { Activation, Device, Tensor } from '../device.ts';
import { dropoutMask } from '../dropout-mask.ts';
import { attention, attentionBackward } from './attention.ts';
import { openBackend, type TensorFlow, type TfjsBackend } from './backends.ts';
import { createExpertKernels, rowsOf } from './experts.ts';
import { createFamilyKernels } from './families.ts';
import { createMemory } from './memory.ts';

/** Logits held at once while a head is computed: 128 MiB. */
const LOGITS = 2 ** 25;

export async function createTfjsDevice(name: TfjsBackend): Promise<Device> {
  const { tf, backend, description } = await openBackend(name);
  const memory = createMemory(tf, name, totalmem());
  const { get, set } = memory;
  const matrix = (x: Tensor, rows: number, columns: number): Tensor2D => tf.reshape(get(x, 0, rows * columns), [rows, columns]);

  /** Runs a kernel on this device's backend, and lets go of everything it made but what it stored. */
  function kernel<Args extends unknown[]>(work: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      if (tf.getBackend() !== backend) void tf.setBackend(backend);
      tf.tidy(() => void work(...args));
    };
  }

  /** Of a weight's products with blocks of bytes: x as they round it. */
  function roundedToBytes(x: Tensor2D): Tensor2D {
    const blocks = tf.reshape(x, [x.size / Q8_0_BLOCK, Q8_0_BLOCK]);
    const d = tf.div(tf.max(tf.abs(blocks), -1, true), 127);
    const inverse = tf.where(tf.equal(d, 0), 0, tf.div(1, d));
    return tf.reshape(tf.mul(d, tf.round(tf.mul(blocks, inverse))), x.shape);
  }

  /** Visits rows [from, from + rows) of M, as many at once as keep their logits within LOGITS. */
  function inChunks(M: number, V: number, visit: (from: number, rows: number) => void): void {
    const most = Math.max(1, Math.floor(LOGITS / V));
    for (let from = 0; from < M; from += most) tf.tidy(() => visit(from, Math.min(most, M - from)));
  }
  const logitsOf = (x: Tensor, w: Tensor, from: number, rows: number, C: number, V: number): Tensor2D =>
    tf.matMul(tf.reshape(get(x, from * C, rows * C), [rows, C]), matrix(w, V, C), false, true);
  /** (rows, 2): the target's place in each row of logits. */
  const placesOf = (targets: Tensor, from: number, rows: number): Tensor2D =>
    tf.stack([tf.range(0, rows, 1, 'int32'), get(targets, from, rows, 'int32')], 1) as Tensor2D;
  const column = (x: Tensor, from: number, rows: number): Tensor2D => tf.reshape(get(x, from, rows), [rows, 1]);
  /** Rows [first, first + count) of a matrix. */
  const rows = (x: Tensor, first: number, count: number, width: number): Tensor2D => tf.reshape(get(x, first * width, count * width), [count, width]);

  return {
    name,
    description,

    alloc: (length, storage = 'f32') => memory.alloc(length, storage),
    free: (x) => memory.free(x),
    view: (x, offset, length, storage = 'f32') => memory.view(x, offset, length, storage),
    memory: () => memory.usage(),
    write: (x, data, offset = 0) => kernel(memory.write)(x, data, offset),
    read: (x, offset = 0, length = x.length - offset) => memory.read(x, offset, length),

    fill: kernel((x, value, n) => n > 0 && set(x, 0, tf.fill([n], value, x.storage === 'i32' ? 'int32' : 'float32'))),
    copy: kernel((out, outOffset, x, xOffset, n) => n > 0 && set(out, outOffset, get(x, xOffset, n))),
    axpy: kernel((out, x, alpha, n) => n > 0 && set(out, 0, tf.add(get(out, 0, n), tf.mul(get(x, 0, n), alpha)))),
    sumSquares: kernel((out, outIndex, x, n) => set(out, outIndex, sumSquares(tf, get(x, 0, n)))),
    dropout: kernel((out, x, n, p, seed) => {
      if (n > 0) set(out, 0, tf.mul(get(x, 0, n), tf.tensor1d(Float32Array.from(dropoutMask(n, p, seed), (kept) => kept / (1 - p)))));
    }),

    gatherRows: kernel((out, table, index, N, C) => {
      if (N > 0) set(out, 0, tf.gather(matrix(table, Math.floor(table.length / C), C), get(index, 0, N, 'int32')));
    }),
    scatterAddRows: kernel((table, rows, index, N, C) => {
      if (N === 0) return;
      const height = Math.floor(table.length / C);
      const added = tf.scatterND(tf.reshape(get(index, 0, N, 'int32'), [N, 1]), matrix(rows, N, C), [height, C]);
      set(table, 0, tf.add(matrix(table, height, C), added));
    }),

    quantize: kernel((w, x, O, I) => set(w, 0, tf.tensor1d(dequantizeQ80(quantizeQ80(memory.reals(x, O * I)))))),
    linear: kernel((out, x, w, bias, N, I, O, alpha, beta, group) => {
      const [first, count] = rowsOf(memory, group, N);
      if (count === 0) return;
      const plain = rows(x, first, count, I);
      const input = w.storage === 'q8_0' ? roundedToBytes(plain) : plain;
      let y: Tensor2D = tf.matMul(input, matrix(w, O, I), false, true);
      if (alpha !== 1) y = tf.mul(y, alpha);
      if (beta !== 0) y = tf.add(tf.mul(rows(out, first, count, O), beta), y);
      if (bias) y = tf.add(y, get(bias, 0, O));
      set(out, first * O, y);
    }),
    linearBackwardInput: kernel((dx, dout, w, N, I, O, alpha, beta, group) => {
      const [first, count] = rowsOf(memory, group, N);
      if (count === 0) return;
      const gradient = tf.mul(tf.matMul(rows(dout, first, count, O), matrix(w, O, I)), alpha); // undoes, through x: out = alpha · x · wᵀ
      set(dx, first * I, beta === 0 ? gradient : tf.add(tf.mul(rows(dx, first, count, I), beta), gradient));
    }),
    linearBackwardWeight: kernel((dw, dout, x, N, I, O, alpha, beta, group) => {
      const [first, count] = rowsOf(memory, group, N);
      if (count === 0) return beta === 0 ? set(dw, 0, tf.zeros([O, I])) : undefined;
      const gradient = tf.mul(tf.matMul(rows(dout, first, count, O), rows(x, first, count, I), true), alpha); // undoes, through w: out = alpha · x · wᵀ
      set(dw, 0, beta === 0 ? gradient : tf.add(tf.mul(matrix(dw, O, I), beta), gradient));
    }),
    linearBackwardBias: kernel((dbias, dout, N, O) => {
      if (N > 0) set(dbias, 0, tf.add(get(dbias, 0, O), tf.sum(matrix(dout, N, O), 0))); // undoes: out += bias
    }),

    rmsNorm: kernel((out, rstd, x, weight, N, C, eps) => {
      if (N === 0) return;
      const input = matrix(x, N, C);
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(input), 1, true), eps));
      set(rstd, 0, scale);
      set(out, 0, tf.mul(tf.mul(input, scale), get(weight, 0, C)));
    }),
    rmsNormBackward: kernel((dx, dweight, dout, x, weight, rstd, N, C) => {
      if (N === 0) return;
      const [dy, input, scale] = [matrix(dout, N, C), matrix(x, N, C), column(rstd, 0, N)];
      const normal = tf.mul(input, scale);
      const dNormal = tf.mul(dy, get(weight, 0, C));
      // undoes out = x · rstd · weight through x, and rstd = (Σ x² / C + eps)^(−1/2), whose slope by x is −rstd³ · x / C
      const gradient = tf.mul(tf.sub(dNormal, tf.mul(normal, tf.mean(tf.mul(dNormal, normal), 1, true))), scale);
      set(dx, 0, tf.add(matrix(dx, N, C), gradient));
      if (dweight) set(dweight, 0, tf.add(get(dweight, 0, C), tf.sum(tf.mul(dy, normal), 0))); // undoes, through weight: out = x · rstd · weight
    }),
    rope: kernel((x, cosSin, positions, N, H, D, R, direction) => {
      if (N === 0) return;
      const half = R / 2;
      const table = tf.gather(matrix(cosSin, Math.floor(cosSin.length / R), R), get(positions, 0, N, 'int32'));
      const cos = tf.reshape(tf.slice(table, [0, 0], [N, half]), [N, 1, half]);
      const sin = tf.mul(tf.reshape(tf.slice(table, [0, half], [N, half]), [N, 1, half]), direction);
      const input = tf.reshape(get(x, 0, N * H * D), [N, H, D]);
      const [first, second] = [0, half].map((from) => tf.slice(input, [0, 0, from], [N, H, half]));
      const turned = [tf.sub(tf.mul(first, cos), tf.mul(second, sin)), tf.add(tf.mul(second, cos), tf.mul(first, sin))];
      set(x, 0, tf.concat(R < D ? [...turned, tf.slice(input, [0, 0, R], [N, H, D - R])] : turned, 2));
    }),
    attention: kernel((out, lse, q, k, v, segments, S, H, K, D, scale) => attention(tf, memory, out, lse, q, k, v, segments, S, { H, K, D, scale, window: 0, cap: 0 })),
    attentionBackward: kernel((dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale) =>
      attentionBackward(tf, memory, dq, dk, dv, dout, out, lse, q, k, v, segments, S, { H, K, D, scale, window: 0, cap: 0 })),
    gatedActivation: kernel((out, gate, up, n, activation) => {
      if (n > 0) set(out, 0, tf.mul(activate(tf, get(gate, 0, n), activation).value, get(up, 0, n)));
    }),
    gatedActivationBackward: kernel((dgate, dup, dout, gate, up, n, activation) => {
      if (n === 0) return;
      const d = get(dout, 0, n);
      const { value, slope } = activate(tf, get(gate, 0, n), activation);
      const gradient = tf.mul(tf.mul(d, slope), get(up, 0, n)); // undoes, through gate: out = act(gate) · up
      set(dup, 0, tf.mul(d, value)); // undoes, through up: out = act(gate) · up
      set(dgate, 0, gradient);
    }),

    logprob: kernel((logprobs, lse, entropy, best, _kept, x, w, targets, M, C, V) => {
      inChunks(M, V, (from, rows) => {
        const logits = logitsOf(x, w, from, rows, C, V);
        const max = tf.max(logits, 1, true);
        const shifted = tf.sub(logits, max);
        const logSum = tf.log(tf.sum(tf.exp(shifted), 1, true));
        set(lse, from, tf.add(max, logSum));
        set(logprobs, from, tf.sub(tf.gatherND(shifted, placesOf(targets, from, rows)), tf.reshape(logSum, [rows])));
        if (entropy) {
          const all = tf.sub(shifted, logSum);
          set(entropy, from, tf.neg(tf.sum(tf.mul(tf.exp(all), all), 1)));
        }
        if (best) set(best, from, tf.argMax(logits, 1));
      });
    }),
    logprobBackward: kernel((dx, dw, _kept, dlogprobs, x, w, targets, lse, M, C, V, beta) => {
      if (dw && beta !== 1) set(dw, 0, beta === 0 ? tf.zeros([V, C]) : tf.mul(matrix(dw, V, C), beta));
      inChunks(M, V, (from, rows) => {
        const p = tf.exp(tf.sub(logitsOf(x, w, from, rows, C, V), column(lse, from, rows)));
        const target = tf.scatterND(placesOf(targets, from, rows), tf.ones([rows]), [rows, V]);
        const dLogits = tf.mul(tf.sub(target, p), column(dlogprobs, from, rows)) as Tensor2D; // undoes: logprob = logit[target] − lse
        set(dx, from * C, tf.matMul(dLogits, matrix(w, V, C))); // undoes, through x: logit = x · w
        if (dw) {
          const gradient = tf.matMul(dLogits, tf.reshape(get(x, from * C, rows * C), [rows, C]), true); // undoes, through w: logit = x · w
          set(dw, 0, tf.add(matrix(dw, V, C), gradient));
        }
      });
    }),

    ...createFamilyKernels(tf, memory, kernel),
    ...createExpertKernels(tf, memory, kernel),

    adamw: kernel((w, grad, m, v, n, lr, beta1, beta2, eps, weightDecay, step, gradScale) => {
      if (n === 0) return;
      const g = tf.mul(get(grad, 0, n), gradScale);
      const first = tf.add(tf.mul(get(m, 0, n), beta1), tf.mul(g, 1 - beta1));
      const second = tf.add(tf.mul(get(v, 0, n), beta2), tf.mul(tf.square(g), 1 - beta2));
      const change = tf.div(tf.mul(first, lr / (1 - beta1 ** step)), tf.add(tf.sqrt(tf.div(second, 1 - beta2 ** step)), eps));
      set(m, 0, first);
      set(v, 0, second);
      set(w, 0, tf.sub(tf.mul(get(w, 0, n), 1 - lr * weightDecay), change));
    }),
  };
}

/**
 * Σ x² as in f64, of one element, where backends only have f32: squares and sums as pairs of a number and what rounding took from it (Dekker's product,
 * Knuth's sum), added half onto half.
 */
function sumSquares(tf: TensorFlow, x: Tensor1D): Tensor1D {
  const large = tf.mul(x, 2 ** 12 + 1);
  const upper = tf.sub(large, tf.sub(large, x)); // x in its upper 12 bits: products of halves are exact
  const lower = tf.sub(x, upper);
  let sum = tf.square(x);
  let rest = tf.add(tf.add(tf.sub(tf.square(upper), sum), tf.mul(tf.mul(upper, lower), 2)), tf.square(lower));
  while (sum.size > 1) {
    const half = Math.ceil(sum.size / 2);
    const [[a, b], [aRest, bRest]] = [sum, rest].map((all) => [tf.slice(all, 0, half), tf.pad(tf.slice(all, half), [[0, 2 * half - all.size]])]);
    sum = tf.add(a, b);
    const added = tf.sub(sum, a);
    const lost = tf.add(tf.sub(a, tf.sub(sum, added)), tf.sub(b, added));
    rest = tf.add(lost, tf.add(aRest, bRest));
  }
  return sum.size === 0 ? tf.zeros([1]) : tf.add(sum, rest);
}

/** act(x) and its derivative. */
function activate(tf: TensorFlow, x: Tensor1D, activation: Activation): { value: Tensor1D; slope: Tensor1D } {
  if (activation === 'silu') {
    const sigmoid = tf.sigmoid(x);
    return { value: tf.mul(x, sigmoid), slope: tf.mul(sigmoid, tf.add(tf.mul(x, tf.sub(1, sigmoid)), 1)) };
  }
  const c = Math.sqrt(2 / Math.PI);
  const square = tf.square(x);
  const tanh = tf.tanh(tf.mul(tf.mul(x, c), tf.add(tf.mul(square, 0.044715), 1)));
  const curve = tf.mul(tf.mul(tf.mul(x, 0.5), tf.sub(1, tf.square(tanh))), tf.mul(tf.add(tf.mul(square, 3 * 0.044715), 1), c));
  return { value: tf.mul(tf.mul(x, 0.5), tf.add(tanh, 1)), slope: tf.add(tf.mul(tf.add(tanh, 1), 0.5), curve) };
}
