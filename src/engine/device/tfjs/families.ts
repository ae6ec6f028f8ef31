/** The TensorFlow.js device's kernels that only some model families need: the rest of tfjs.ts, under its rules. */
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Device, PlainActivation, Tensor } from '../device.ts';
import { attention, attentionBackward } from './attention.ts';
import type { TensorFlow } from './backends.ts';
import type { Memory } from './memory.ts';

type FamilyKernels = Pick<
  Device,
  | 'layerNorm' | 'layerNormBackward' | 'activation' | 'activationBackward' | 'copyColumns' | 'localAttention' | 'localAttentionBackward'
  | 'cappedLogprob' | 'cappedLogprobBackward'
>;

/** @param kernel runs a kernel on the device's backend and lets go of what it made */
export function createFamilyKernels(tf: TensorFlow, memory: Memory, kernel: <Args extends unknown[]>(work: (...args: Args) => void) => (...args: Args) => void): FamilyKernels {
  const { get, set } = memory;
  const matrix = (x: Tensor, rows: number, columns: number): Tensor2D => tf.reshape(get(x, 0, rows * columns), [rows, columns]);
  const column = (x: Tensor, rows: number): Tensor2D => tf.reshape(get(x, 0, rows), [rows, 1]);
  /** (M, V): 1 at each row's target. */
  const targetsAt = (targets: Tensor, M: number, V: number): Tensor2D =>
    tf.scatterND(tf.stack([tf.range(0, M, 1, 'int32'), get(targets, 0, M, 'int32')], 1), tf.ones([M]), [M, V]);
  /** Rows `stride` apart as a matrix (rows, stride); the last one, cut off, filled up with zeros. */
  const strided = (x: Tensor, offset: number, stride: number, rows: number, width: number): Tensor2D =>
    tf.reshape(tf.pad(get(x, offset, (rows - 1) * stride + width), [[0, stride - width]]), [rows, stride]);

  return {
    layerNorm: kernel((out, mean, rstd, x, weight, bias, N, C, eps) => {
      if (N === 0) return;
      const input = matrix(x, N, C);
      const centre = tf.mean(input, 1, true);
      const centred = tf.sub(input, centre);
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), eps));
      set(mean, 0, centre);
      set(rstd, 0, scale);
      set(out, 0, tf.add(tf.mul(tf.mul(centred, scale), get(weight, 0, C)), get(bias, 0, C)));
    }),
    layerNormBackward: kernel((dx, dweight, dbias, dout, x, weight, mean, rstd, N, C) => {
      if (N === 0) return;
      const [dy, scale] = [matrix(dout, N, C), column(rstd, N)];
      const normal = tf.mul(tf.sub(matrix(x, N, C), column(mean, N)), scale);
      const dNormal = tf.mul(dy, get(weight, 0, C));
      // undoes out = (x − mean) · rstd · weight + bias, through x, mean and rstd
      const rest = tf.add(tf.mean(dNormal, 1, true), tf.mul(normal, tf.mean(tf.mul(dNormal, normal), 1, true)));
      set(dx, 0, tf.add(matrix(dx, N, C), tf.mul(tf.sub(dNormal, rest), scale)));
      if (dweight) set(dweight, 0, tf.add(get(dweight, 0, C), tf.sum(tf.mul(dy, normal), 0))); // … through weight
      if (dbias) set(dbias, 0, tf.add(get(dbias, 0, C), tf.sum(dy, 0))); // … through bias
    }),

    activation: kernel((out, x, n, activation) => {
      if (n > 0) set(out, 0, activate(tf, get(x, 0, n), activation).value);
    }),
    activationBackward: kernel((dx, dout, x, n, activation) => {
      if (n > 0) set(dx, 0, tf.mul(get(dout, 0, n), activate(tf, get(x, 0, n), activation).slope)); // undoes: out = act(x)
    }),

    copyColumns: kernel((out, outOffset, outStride, x, xOffset, xStride, rows, width, add) => {
      if (rows === 0 || width === 0) return;
      let piece: Tensor2D = tf.slice(strided(x, xOffset, xStride, rows, width), [0, 0], [rows, width]);
      if (outStride === width) {
        if (add) piece = tf.add(piece, tf.reshape(get(out, outOffset, rows * width), [rows, width]));
        set(out, outOffset, piece);
        return;
      }
      const before = strided(out, outOffset, outStride, rows, width);
      if (add) piece = tf.add(piece, tf.slice(before, [0, 0], [rows, width]));
      const after = tf.concat([piece, tf.slice(before, [0, width], [rows, outStride - width])], 1);
      set(out, outOffset, tf.slice(tf.reshape(after, [rows * outStride]), 0, (rows - 1) * outStride + width));
    }),

    localAttention: kernel((out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      attention(tf, memory, out, lse, q, k, v, segments, S, { H, K, D, scale, window, cap })),
    localAttentionBackward: kernel((dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) =>
      attentionBackward(tf, memory, dq, dk, dv, dout, out, lse, q, k, v, segments, S, { H, K, D, scale, window, cap })),

    cappedLogprob: kernel((logprobs, lse, entropy, best, logits, targets, M, V, cap) => {
      if (M === 0) return;
      const capped = tf.mul(tf.tanh(tf.div(matrix(logits, M, V), cap)), cap);
      const max = tf.max(capped, 1, true);
      const shifted = tf.sub(capped, max);
      const logSum = tf.log(tf.sum(tf.exp(shifted), 1, true));
      const all = tf.sub(shifted, logSum);
      set(logits, 0, capped);
      set(lse, 0, tf.add(max, logSum));
      set(logprobs, 0, tf.sum(tf.mul(all, targetsAt(targets, M, V)), 1));
      if (entropy) set(entropy, 0, tf.neg(tf.sum(tf.mul(tf.exp(all), all), 1)));
      if (best) set(best, 0, tf.argMax(capped, 1));
    }),
    cappedLogprobBackward: kernel((logits, dlogprobs, targets, lse, M, V, cap) => {
      if (M === 0) return;
      const capped = matrix(logits, M, V);
      const p = tf.exp(tf.sub(capped, column(lse, M)));
      const dCapped = tf.mul(tf.sub(targetsAt(targets, M, V), p), column(dlogprobs, M)); // undoes: logprob = capped[target] − lse
      set(logits, 0, tf.mul(dCapped, tf.sub(1, tf.square(tf.div(capped, cap))))); // undoes: capped = cap · tanh(logit / cap)
    }),
  };
}

/** act(x) and its derivative. */
function activate(tf: TensorFlow, x: Tensor1D, activation: PlainActivation): { value: Tensor1D; slope: Tensor1D } {
  if (activation === 'sigmoid') {
    const value = tf.sigmoid(x);
    return { value, slope: tf.mul(value, tf.sub(1, value)) };
  }
  if (activation === 'gelu') {
    const cdf: Tensor1D = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return { value: tf.mul(x, cdf), slope: tf.add(cdf, tf.mul(x, density)) };
  }
  const c = Math.sqrt(2 / Math.PI);
  const square = tf.square(x);
  const tanh = tf.tanh(tf.mul(tf.mul(x, c), tf.add(tf.mul(square, 0.044715), 1)));
  const curve = tf.mul(tf.mul(tf.mul(x, 0.5), tf.sub(1, tf.square(tanh))), tf.mul(tf.add(tf.mul(square, 3 * 0.044715), 1), c));
  return { value: tf.mul(tf.mul(x, 0.5), tf.add(tanh, 1)), slope: tf.add(tf.mul(tf.add(tanh, 1), 0.5), curve) };
}
