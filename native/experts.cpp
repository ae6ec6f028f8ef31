// A mixture's router (softmax, the K likeliest, and where each expert's rows lie), the sum of what a row's experts gave, and their gradients.
// The experts' products are linear.cpp's, over the rows between two bounds.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void route(Context& c, float* probs, float* weights, int32_t* chosen, int32_t* slots, int32_t* rows, int32_t* bounds, float* load, const float* logits,
           i64 N, i64 E, i64 K, bool normalise) {
  parallel_range(c, N, 1 + grain / (E * K + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      const float* row = logits + n * E;
      float* p = probs + n * E;
      float max = -INFINITY;
      for (i64 e = 0; e < E; e++) max = row[e] > max ? row[e] : max;
      double total = 0;
      for (i64 e = 0; e < E; e++) total += p[e] = vexp(row[e] - max);
      for (i64 e = 0; e < E; e++) p[e] = static_cast<float>(p[e] / total);
      double sum = 0;
      for (i64 j = 0; j < K; j++) {
        // by the logits, which underflow nowhere; of a tie the lower
        i64 best = -1;
        for (i64 e = 0; e < E; e++) {
          bool taken = false;
          for (i64 i = 0; i < j; i++) taken |= chosen[n * K + i] == e;
          if (!taken && (best < 0 || row[e] > row[best])) best = e;
        }
        chosen[n * K + j] = static_cast<int32_t>(best);
        sum += weights[n * K + j] = p[best];
      }
      if (!normalise) continue;
      for (i64 j = 0; j < K; j++) weights[n * K + j] = static_cast<float>(weights[n * K + j] / sum);
    }
  });
  // A counting sort: bounds[e + 1] runs from the end of the experts before e to the end of e.
  for (i64 e = 0; e <= E; e++) bounds[e] = 0;
  for (i64 i = 0; i < N * K; i++) bounds[chosen[i]]++;
  int32_t start = 0;
  for (i64 e = 0; e <= E; e++) {
    const int32_t count = bounds[e];
    if (load && e < E) load[e] += static_cast<float>(count);
    bounds[e] = start;
    start += count;
  }
  for (i64 i = 0; i < N * K; i++) {
    const int32_t slot = bounds[chosen[i]]++;
    slots[i] = slot;
    rows[slot] = static_cast<int32_t>(i / K);
  }
  for (i64 e = E; e > 0; e--) bounds[e] = bounds[e - 1];
  bounds[0] = 0;
}

void route_backward(Context& c, float* dlogits, const float* dweights, const float* dprobs, const float* probs, const float* weights,
                    const int32_t* chosen, i64 N, i64 E, i64 K, bool normalise) {
  parallel_range(c, N, 1 + grain / (E + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      float* d = dlogits + n * E;
      const float* p = probs + n * E;
      for (i64 e = 0; e < E; e++) d[e] = dprobs ? dprobs[e] : 0.0f;
      double sum = 1, turned = 0;
      if (normalise) {
        sum = 0;
        for (i64 j = n * K; j < (n + 1) * K; j++) sum += p[chosen[j]], turned += static_cast<double>(dweights[j]) * weights[j];
      }
      for (i64 j = n * K; j < (n + 1) * K; j++) d[chosen[j]] += static_cast<float>((dweights[j] - turned) / sum);
      double mean = 0;
      for (i64 e = 0; e < E; e++) mean += static_cast<double>(d[e]) * p[e];
      for (i64 e = 0; e < E; e++) d[e] = static_cast<float>(p[e] * (d[e] - mean));
    }
  });
}

void combine_rows(Context& c, float* out, const float* y, const float* weights, const int32_t* slots, i64 N, i64 K, i64 C) {
  parallel_range(c, N, 1 + grain / (K * C + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      for (i64 i = 0; i < C; i += W) {
        const i64 count = C - i < W ? C - i : W;
        vf sum = broadcast(0.0f);
        for (i64 j = n * K; j < (n + 1) * K; j++) sum = load_some(y + slots[j] * C + i, count) * weights[j] + sum;
        store_some(out + n * C + i, load_some(out + n * C + i, count) + sum, count);
      }
    }
  });
}

void combine_rows_backward(Context& c, float* dy, float* dweights, const float* dout, const float* y, const float* weights, const int32_t* slots, i64 N,
                           i64 K, i64 C) {
  parallel_range(c, N, 1 + grain / (K * C + 1), [&](i64 begin, i64 end) {
    for (i64 j = begin * K; j < end * K; j++) {
      const float* d = dout + j / K * C;
      vf sum = broadcast(0.0f);
      for (i64 i = 0; i < C; i += W) {
        const i64 count = C - i < W ? C - i : W;
        const vf g = load_some(d + i, count);
        if (dweights) sum = g * load_some(y + slots[j] * C + i, count) + sum;
        store_some(dy + slots[j] * C + i, g * weights[j], count);
      }
      if (!dweights) continue;
      double dot = 0;
      for (int l = 0; l < W; l++) dot += sum[l];
      dweights[j] = static_cast<float>(dot);
    }
  });
}

}  // namespace attune::ATTUNE_ISA
