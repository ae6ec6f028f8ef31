/** The TensorFlow.js device's kernels of mixtures of experts: the rest of tfjs.ts, under its rules. Where each expert's rows lie is found on the host. */
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { Device, Group, Tensor } from '../device.ts';
import { layOutByExpert } from '../expert-slots.ts';
import type { TensorFlow } from './backends.ts';
import type { Memory } from './memory.ts';

type ExpertKernels = Pick<Device, 'route' | 'routeBackward' | 'combineRows' | 'combineRowsBackward'>;

/** First row of a group, and its count; of all N without one. */
export function rowsOf(memory: Memory, group: Group | undefined, N: number): [first: number, count: number] {
  if (!group) return [0, N];
  const bounds = memory.ids(group.bounds, group.at + 2);
  return [bounds[group.at], bounds[group.at + 1] - bounds[group.at]];
}

/** @param kernel runs a kernel on the device's backend and lets go of what it made */
export function createExpertKernels(tf: TensorFlow, memory: Memory, kernel: <Args extends unknown[]>(work: (...args: Args) => void) => (...args: Args) => void): ExpertKernels {
  const { get, set } = memory;
  const matrix = (x: Tensor, rows: number, columns: number): Tensor2D => tf.reshape(get(x, 0, rows * columns), [rows, columns]);
  /** (N, K, E): 1 at the expert of each pair. */
  const chosenAt = (chosen: Tensor, N: number, E: number, K: number): Tensor3D =>
    tf.cast(tf.equal(tf.reshape(get(chosen, 0, N * K, 'int32'), [N, K, 1]), tf.range(0, E, 1, 'int32')), 'float32');

  return {
    route: kernel((probs, weights, chosen, slots, rows, bounds, load, logits, N, E, K, normalise) => {
      if (N === 0) return set(bounds, 0, tf.zeros([E + 1], 'int32'));
      const all = tf.softmax(matrix(logits, N, E));
      const { values, indices } = tf.topk(all, K);
      const places = layOutByExpert(indices.dataSync() as Int32Array, N, E, K);
      set(probs, 0, all);
      set(weights, 0, normalise ? tf.div(values, tf.sum(values, 1, true)) : values);
      set(chosen, 0, indices);
      set(slots, 0, tf.tensor1d(places.slots, 'int32'));
      set(rows, 0, tf.tensor1d(places.rows, 'int32'));
      set(bounds, 0, tf.tensor1d(places.bounds, 'int32'));
      if (load) set(load, 0, tf.add(get(load, 0, E), tf.tensor1d(Float32Array.from({ length: E }, (_, e) => places.bounds[e + 1] - places.bounds[e]))));
    }),
    routeBackward: kernel((dlogits, dweights, dprobs, probs, weights, chosen, N, E, K, normalise) => {
      if (N === 0) return;
      const [p, at] = [matrix(probs, N, E), chosenAt(chosen, N, E, K)];
      let dw: Tensor2D = matrix(dweights, N, K);
      if (normalise) {
        const turned = tf.sum(tf.mul(dw, matrix(weights, N, K)), 1, true);
        dw = tf.div(tf.sub(dw, turned), tf.reshape(tf.sum(tf.mul(at, tf.reshape(p, [N, 1, E])), [1, 2]), [N, 1])); // undoes weight = prob / sum
      }
      let dRow: Tensor2D = tf.sum(tf.mul(at, tf.reshape(dw, [N, K, 1])), 1);
      if (dprobs) dRow = tf.add(dRow, get(dprobs, 0, E));
      set(dlogits, 0, tf.mul(p, tf.sub(dRow, tf.sum(tf.mul(dRow, p), 1, true)))); // undoes probs = softmax(logits)
    }),
    combineRows: kernel((out, y, weights, slots, N, K, C) => {
      if (N === 0) return;
      const chosen = tf.reshape(tf.gather(matrix(y, N * K, C), get(slots, 0, N * K, 'int32')), [N, K, C]);
      const sum: Tensor2D = tf.sum(tf.mul(chosen, tf.reshape(get(weights, 0, N * K), [N, K, 1])), 1);
      set(out, 0, tf.add(matrix(out, N, C), sum));
    }),
    combineRowsBackward: kernel((dy, dweights, dout, y, weights, slots, N, K, C) => {
      if (N === 0) return;
      const at = get(slots, 0, N * K, 'int32');
      const d = tf.reshape(get(dout, 0, N * C), [N, 1, C]);
      const chosen = tf.reshape(tf.gather(matrix(y, N * K, C), at), [N, K, C]);
      const spread = tf.reshape(tf.mul(d, tf.reshape(get(weights, 0, N * K), [N, K, 1])), [N * K, C]);
      if (dweights) set(dweights, 0, tf.sum(tf.mul(d, chosen), 2)); // undoes, through weights: out += weights · y
      set(dy, 0, tf.scatterND(tf.reshape(at, [N * K, 1]), spread, [N * K, C])); // undoes, through y: out += weights · y
    }),
  };
}
