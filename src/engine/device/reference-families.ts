/**
 * The naive device's kernels that only some model families need: the rest of reference.ts, under its rules. Sums run in f64 and are
 * rounded once, where they are stored; each backward line names the forward line it undoes.
 */
import type { Device, PlainActivation } from './device.ts';
import { SEGMENT_FIELDS } from './device.ts';
import { activate, dot, f32, i32, logSumExp } from './reference.ts';

type FamilyKernels = Pick<
  Device,
  | 'layerNorm' | 'layerNormBackward' | 'activation' | 'activationBackward' | 'copyColumns' | 'localAttention' | 'localAttentionBackward'
  | 'cappedLogprob' | 'cappedLogprobBackward'
>;

/** One call per (query row, the key rows it sees in order): prefix first, then its own up to itself; of these the last `window` where there is one. See `attention` in device.ts. */
function forEachQuery(segments: Int32Array, S: number, window: number, visit: (query: number, keys: number[]) => void): void {
  for (let s = 0; s < S; s++) {
    const [queryStart, queryLength, prefixStart, prefixLength, keyStart, keyLength] = segments.subarray(s * SEGMENT_FIELDS, (s + 1) * SEGMENT_FIELDS);
    for (let j = 0; j < queryLength; j++) {
      const keys: number[] = [];
      for (let t = 0; t < prefixLength; t++) keys.push(prefixStart + t);
      for (let t = 0; t <= keyLength - queryLength + j; t++) keys.push(keyStart + t);
      visit(queryStart + j, window > 0 ? keys.slice(-window) : keys);
    }
  }
}

/** Σ x²ⁿ⁺¹ / (n! (2n+1)) · 2/√π within |x| < 3, a continued fraction of erfc beyond: full f64. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 3) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = size;
  for (let n = 60; n >= 1; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / (Math.sqrt(Math.PI) * fraction));
}

/** act(x) and its derivative. */
function activatePlain(x: number, activation: PlainActivation): { value: number; slope: number } {
  if (activation === 'gelu_pytorch_tanh') return activate(x, activation);
  if (activation === 'sigmoid') {
    const value = 1 / (1 + Math.exp(-x));
    return { value, slope: value * (1 - value) };
  }
  const cdf = 0.5 * (1 + erf(x / Math.SQRT2));
  return { value: x * cdf, slope: cdf + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI) };
}

/** A scaled score after the cap, and the slope the cap gives it. */
function capped(score: number, cap: number): { value: number; slope: number } {
  if (cap === 0) return { value: score, slope: 1 };
  const tanh = Math.tanh(score / cap);
  return { value: cap * tanh, slope: 1 - tanh * tanh };
}

export function createFamilyKernels(): FamilyKernels {
  return {
    layerNorm(out, mean, rstd, x, weight, bias, N, C, eps) {
      const [y, m, r, a, w, b] = [f32(out), f32(mean), f32(rstd), f32(x), f32(weight), f32(bias)];
      for (let n = 0; n < N; n++) {
        let sum = 0, squares = 0;
        for (let c = 0; c < C; c++) sum += a[n * C + c];
        const centre = sum / C;
        for (let c = 0; c < C; c++) squares += (a[n * C + c] - centre) ** 2;
        const scale = 1 / Math.sqrt(squares / C + eps);
        m[n] = centre;
        r[n] = scale;
        for (let c = 0; c < C; c++) y[n * C + c] = (a[n * C + c] - centre) * scale * w[c] + b[c];
      }
    },

    layerNormBackward(dx, dweight, dbias, dout, x, weight, mean, rstd, N, C) {
      const [da, dw, db, dy, a, w, m, r] = [f32(dx), dweight && f32(dweight), dbias && f32(dbias), f32(dout), f32(x), f32(weight), f32(mean), f32(rstd)];
      for (let n = 0; n < N; n++) {
        let plain = 0, turned = 0;
        for (let c = 0; c < C; c++) {
          const g = dy[n * C + c] * w[c];
          plain += g; // undoes, through mean: out = (x − mean) · rstd · weight + bias
          turned += g * (a[n * C + c] - m[n]) * r[n]; // undoes, through rstd, the same line
        }
        for (let c = 0; c < C; c++) {
          const normed = (a[n * C + c] - m[n]) * r[n];
          da[n * C + c] += r[n] * (dy[n * C + c] * w[c] - plain / C - (normed * turned) / C); // undoes out = …, through x, mean and rstd
        }
      }
      for (let c = 0; c < C; c++) {
        let sumWeight = 0, sumBias = 0;
        for (let n = 0; n < N; n++) {
          sumWeight += dy[n * C + c] * (a[n * C + c] - m[n]) * r[n]; // undoes, through weight: out = (x − mean) · rstd · weight + bias
          sumBias += dy[n * C + c]; // undoes: + bias
        }
        if (dw) dw[c] += sumWeight;
        if (db) db[c] += sumBias;
      }
    },

    activation(out, x, n, activation) {
      const [y, a] = [f32(out), f32(x)];
      for (let i = 0; i < n; i++) y[i] = activatePlain(a[i], activation).value;
    },

    activationBackward(dx, dout, x, n, activation) {
      const [da, dy, a] = [f32(dx), f32(dout), f32(x)];
      for (let i = 0; i < n; i++) da[i] = dy[i] * activatePlain(a[i], activation).slope; // undoes: out = act(x)
    },

    copyColumns(out, outOffset, outStride, x, xOffset, xStride, rows, width, add) {
      const [y, a] = [f32(out), f32(x)];
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < width; i++) {
          const to = outOffset + row * outStride + i;
          y[to] = (add ? y[to] : 0) + a[xOffset + row * xStride + i];
        }
      }
    },

    localAttention(out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) {
      const [y, l, a, b, c] = [f32(out), f32(lse), f32(q), f32(k), f32(v)];
      forEachQuery(i32(segments), S, window, (query, keys) => {
        for (let h = 0; h < H; h++) {
          const kv = Math.floor((h * K) / H);
          const iq = (query * H + h) * D;
          const scores = Float64Array.from(keys, (key) => capped(scale * dot(a, iq, b, (key * K + kv) * D, D), cap).value);
          const logSum = logSumExp(scores);
          l[query * H + h] = logSum;
          for (let d = 0; d < D; d++) {
            let sum = 0;
            for (let t = 0; t < keys.length; t++) sum += Math.exp(scores[t] - logSum) * c[(keys[t] * K + kv) * D + d];
            y[iq + d] = sum;
          }
        }
      });
    },

    localAttentionBackward(dq, dk, dv, dout, out, lse, q, k, v, segments, S, H, K, D, scale, window, cap) {
      const [da, db, dc, dy] = [f32(dq), f32(dk), f32(dv), f32(dout)];
      const [y, l, a, b, c] = [f32(out), f32(lse), f32(q), f32(k), f32(v)];
      forEachQuery(i32(segments), S, window, (query, keys) => {
        for (let h = 0; h < H; h++) {
          const kv = Math.floor((h * K) / H);
          const iq = (query * H + h) * D;
          const mean = dot(dy, iq, y, iq, D); // Σ p · dp of the softmax's backward, since out = Σ p · v
          const dqRow = new Float64Array(D);
          for (const key of keys) {
            const ik = (key * K + kv) * D;
            const score = capped(scale * dot(a, iq, b, ik, D), cap);
            const p = Math.exp(score.value - l[query * H + h]); // forward's p = exp(score − lse)
            const dp = dot(dy, iq, c, ik, D); // undoes, through p: out = Σ p · v
            const dProduct = p * (dp - mean) * score.slope * scale; // undoes p = softmax(scores), the cap, and score = scale · q · k
            for (let d = 0; d < D; d++) {
              dc[ik + d] += p * dy[iq + d]; // undoes, through v: out = Σ p · v
              db[ik + d] += dProduct * a[iq + d]; // undoes, through k: q · k
              dqRow[d] += dProduct * b[ik + d]; // undoes, through q: q · k
            }
          }
          for (let d = 0; d < D; d++) da[iq + d] += dqRow[d];
        }
      });
    },

    cappedLogprob(logprobs, lse, entropy, best, logits, targets, M, V, cap) {
      const [lp, l, a, at] = [f32(logprobs), f32(lse), f32(logits), i32(targets)];
      for (let m = 0; m < M; m++) {
        const row = Float64Array.from({ length: V }, (_, v) => capped(a[m * V + v], cap).value);
        a.set(row, m * V);
        const logSum = logSumExp(row);
        l[m] = logSum;
        lp[m] = row[at[m]] - logSum;
        if (entropy) f32(entropy)[m] = logSum - row.reduce((sum, logit) => sum + Math.exp(logit - logSum) * logit, 0);
        if (best) i32(best)[m] = row.indexOf(row.reduce((max, logit) => Math.max(max, logit), -Infinity));
      }
    },

    cappedLogprobBackward(logits, dlogprobs, targets, lse, M, V, cap) {
      const [a, dlp, at, l] = [f32(logits), f32(dlogprobs), i32(targets), f32(lse)];
      for (let m = 0; m < M; m++) {
        for (let v = 0; v < V; v++) {
          const value = a[m * V + v];
          const dCapped = dlp[m] * ((v === at[m] ? 1 : 0) - Math.exp(value - l[m])); // undoes: logprob = capped[target] − lse
          a[m * V + v] = dCapped * (1 - (value / cap) ** 2); // undoes: capped = cap · tanh(logit / cap)
        }
      }
    },
  };
}
