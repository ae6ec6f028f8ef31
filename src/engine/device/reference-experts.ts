/**
 * The naive device's kernels of mixtures of experts: the rest of reference.ts, under its rules. Sums run in f64 and are rounded once,
 * where they are stored; each backward line names the forward line it undoes.
 */
import type { Device } from './device.ts';
import { layOutByExpert } from './expert-slots.ts';
import { f32, i32, logSumExp } from './reference.ts';

type ExpertKernels = Pick<Device, 'route' | 'routeBackward' | 'combineRows' | 'combineRowsBackward'>;

export function createExpertKernels(): ExpertKernels {
  return {
    route(probs, weights, chosen, slots, rows, bounds, load, logits, N, E, K, normalise) {
      const [p, w, at, a] = [f32(probs), f32(weights), i32(chosen), f32(logits)];
      for (let n = 0; n < N; n++) {
        const row = Float64Array.from(a.subarray(n * E, (n + 1) * E));
        const logSum = logSumExp(row);
        for (let e = 0; e < E; e++) p[n * E + e] = Math.exp(row[e] - logSum);
        // a stable sort: of a tie the lower expert comes first
        const best = Array.from({ length: E }, (_, e) => e).sort((one, other) => row[other] - row[one]).slice(0, K);
        const sum = normalise ? best.reduce((all, e) => all + p[n * E + e], 0) : 1;
        best.forEach((e, j) => {
          at[n * K + j] = e;
          w[n * K + j] = p[n * E + e] / sum;
        });
      }
      const places = layOutByExpert(at.subarray(0, N * K), N, E, K);
      i32(slots).set(places.slots);
      i32(rows).set(places.rows);
      i32(bounds).set(places.bounds);
      if (load) for (let e = 0; e < E; e++) f32(load)[e] += places.bounds[e + 1] - places.bounds[e];
    },

    routeBackward(dlogits, dweights, dprobs, probs, weights, chosen, N, E, K, normalise) {
      const [da, dw, dp, p, w, at] = [f32(dlogits), f32(dweights), dprobs && f32(dprobs), f32(probs), f32(weights), i32(chosen)];
      for (let n = 0; n < N; n++) {
        const dRow = Float64Array.from({ length: E }, (_, e) => (dp ? dp[e] : 0));
        let [sum, turned] = [1, 0];
        if (normalise) {
          sum = 0;
          for (let j = n * K; j < (n + 1) * K; j++) {
            sum += p[n * E + at[j]];
            turned += dw[j] * w[j]; // undoes, through the sum: weight = prob / sum
          }
        }
        for (let j = n * K; j < (n + 1) * K; j++) dRow[at[j]] += (dw[j] - turned) / sum; // undoes, through prob: weight = prob / sum
        let mean = 0;
        for (let e = 0; e < E; e++) mean += dRow[e] * p[n * E + e];
        for (let e = 0; e < E; e++) da[n * E + e] = p[n * E + e] * (dRow[e] - mean); // undoes probs = softmax(logits)
      }
    },

    combineRows(out, y, weights, slots, N, K, C) {
      const [to, a, w, at] = [f32(out), f32(y), f32(weights), i32(slots)];
      for (let n = 0; n < N; n++) {
        for (let c = 0; c < C; c++) {
          let sum = 0;
          for (let j = n * K; j < (n + 1) * K; j++) sum += w[j] * a[at[j] * C + c];
          to[n * C + c] += sum;
        }
      }
    },

    combineRowsBackward(dy, dweights, dout, y, weights, slots, N, K, C) {
      const [da, dw, d, a, w, at] = [f32(dy), dweights && f32(dweights), f32(dout), f32(y), f32(weights), i32(slots)];
      for (let n = 0; n < N; n++) {
        for (let j = n * K; j < (n + 1) * K; j++) {
          let sum = 0;
          for (let c = 0; c < C; c++) {
            sum += d[n * C + c] * a[at[j] * C + c]; // undoes, through weights: out += weights · y
            da[at[j] * C + c] = w[j] * d[n * C + c]; // undoes, through y: out += weights · y
          }
          if (dw) dw[j] = sum;
        }
      }
    },
  };
}
