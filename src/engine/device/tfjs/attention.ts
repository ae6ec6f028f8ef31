/** Causal attention over packed segments in TensorFlow.js ops, a segment at a time: every score of a segment lies in memory at once (H · queries · keys). */
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { SEGMENT_FIELDS, type Tensor } from '../device.ts';
import type { TensorFlow } from './backends.ts';
import type { Memory } from './memory.ts';

type Segment = { queryStart: number; queryLength: number; spans: { start: number; length: number }[]; prefixLength: number; keyLength: number };
/** window 0: every key before; cap 0: none. See Device.localAttention. */
type Heads = { H: number; K: number; D: number; scale: number; window: number; cap: number };

function segmentsOf(table: Int32Array, S: number): Segment[] {
  return Array.from({ length: S }, (_, s) => {
    const [queryStart, queryLength, prefixStart, prefixLength, keyStart, keyLength] = table.subarray(s * SEGMENT_FIELDS, (s + 1) * SEGMENT_FIELDS);
    const spans = [{ start: prefixStart, length: prefixLength }, { start: keyStart, length: keyLength }].filter(({ length }) => length > 0);
    return { queryStart, queryLength, spans, prefixLength, keyLength };
  }).filter(({ queryLength }) => queryLength > 0);
}

/** Rows of x(N, heads, D) as (heads, rows, D). */
function headsOf(tf: TensorFlow, memory: Memory, x: Tensor, spans: Segment['spans'], heads: number, D: number): Tensor3D {
  const parts = spans.map(({ start, length }) => tf.reshape(memory.get(x, start * heads * D, length * heads * D), [length, heads, D]));
  return tf.transpose(parts.length === 1 ? parts[0] : tf.concat(parts), [1, 0, 2]) as Tensor3D;
}

/** (K, rows, D) → (H, rows, D): H / K query heads in a row share a key/value head. */
function shared(tf: TensorFlow, x: Tensor3D, H: number): Tensor3D {
  const [K, rows, D] = x.shape;
  if (K === H) return x;
  return tf.reshape(tf.tile(tf.reshape(x, [K, 1, rows, D]), [1, H / K, 1, 1]), [H, rows, D]);
}

/** −∞ where query j must not see a key, else 0: (queries, keys). */
function mask(tf: TensorFlow, { queryLength, prefixLength, keyLength }: Segment, window: number): Tensor2D {
  const keys = prefixLength + keyLength;
  const last = tf.reshape(tf.range(keys - queryLength, keys), [queryLength, 1]);
  const key = tf.reshape(tf.range(0, keys), [1, keys]);
  const before = tf.lessEqual(key, last);
  const seen = window > 0 ? tf.logicalAnd(before, tf.greater(key, tf.sub(last, window))) : before;
  return tf.where(seen, 0, -Infinity) as Tensor2D;
}

/** Scaled and capped scores (H, queries, keys), −∞ where a key is not seen, and their slope by q · k. */
function scores(tf: TensorFlow, q: Tensor3D, k: Tensor3D, segment: Segment, { scale, window, cap }: Heads): { logits: Tensor3D; slope: Tensor3D | number } {
  const scaled: Tensor3D = tf.mul(tf.matMul(q, k, false, true), scale);
  if (cap === 0) return { logits: tf.add(scaled, mask(tf, segment, window)), slope: scale };
  const tanh: Tensor3D = tf.tanh(tf.div(scaled, cap));
  return { logits: tf.add(tf.mul(tanh, cap), mask(tf, segment, window)), slope: tf.mul(tf.sub(1, tf.square(tanh)), scale) };
}

export function attention(tf: TensorFlow, memory: Memory, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, segments: Tensor, S: number, heads: Heads): void {
  const { H, K, D } = heads;
  for (const segment of segmentsOf(memory.ids(segments, S * SEGMENT_FIELDS), S)) {
    const { queryStart, queryLength, spans } = segment;
    const queries = headsOf(tf, memory, q, [{ start: queryStart, length: queryLength }], H, D);
    const [keys, values] = [k, v].map((x) => shared(tf, headsOf(tf, memory, x, spans, K, D), H));
    const { logits } = scores(tf, queries, keys, segment, heads);
    const max = tf.max(logits, -1, true);
    const weights = tf.exp(tf.sub(logits, max));
    const sum = tf.sum(weights, -1, true);
    const answer = tf.div(tf.matMul(weights, values), sum);
    memory.set(out, queryStart * H * D, tf.transpose(answer, [1, 0, 2]));
    memory.set(lse, queryStart * H, tf.transpose(tf.reshape(tf.add(max, tf.log(sum)), [H, queryLength])));
  }
}

export function attentionBackward(
  tf: TensorFlow, memory: Memory,
  dq: Tensor, dk: Tensor, dv: Tensor,
  dout: Tensor, out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor,
  segments: Tensor, S: number, heads: Heads,
): void {
  const { H, K, D } = heads;
  for (const segment of segmentsOf(memory.ids(segments, S * SEGMENT_FIELDS), S)) {
    const { queryStart, queryLength, spans } = segment;
    const own = [{ start: queryStart, length: queryLength }];
    const [queries, dAnswer, answer] = [q, dout, out].map((x) => headsOf(tf, memory, x, own, H, D));
    const [keys, values] = [k, v].map((x) => shared(tf, headsOf(tf, memory, x, spans, K, D), H));
    const logSum = headsOf(tf, memory, lse, own, H, 1);
    const { logits, slope } = scores(tf, queries, keys, segment, heads);
    const p = tf.exp(tf.sub(logits, logSum)); // forward's p = exp(score − lse)
    const mean = tf.sum(tf.mul(dAnswer, answer), -1, true); // Σ p · dp of the softmax's backward, since out = Σ p · v
    const dp = tf.matMul(dAnswer, values, false, true); // undoes, through p: out = Σ p · v
    const dScore = tf.mul(tf.mul(p, tf.sub(dp, mean)), slope); // undoes p = softmax(scores), the cap and the scale
    const dQuery = tf.matMul(dScore, keys);
    const dKey = tf.matMul(dScore, queries, true);
    const dValue = tf.matMul(p, dAnswer, true);
    add(dq, own, dQuery as Tensor3D, H);
    add(dk, spans, dKey as Tensor3D, K);
    add(dv, spans, dValue as Tensor3D, K);
  }

  /** x's rows of `spans` += those of `gradient` (H, rows, D), query heads that share a key/value head added up. */
  function add(x: Tensor, rows: Segment['spans'], gradient: Tensor3D, count: number): void {
    const total = gradient.shape[1];
    const summed = count === H ? gradient : tf.sum(tf.reshape(gradient, [count, H / count, total, D]), 1);
    const byRow = tf.transpose(summed, [1, 0, 2]);
    let at = 0;
    for (const { start, length } of rows) {
      const part = tf.reshape(tf.slice(byRow, [at, 0, 0], [length, count, D]), [length * count * D]);
      memory.set(x, start * count * D, tf.add(memory.get(x, start * count * D, length * count * D), part));
      at += length;
    }
  }
}
