// Log-softmax of logits that are held, each cap · tanh(logit / cap) first (Gemma 2), and its gradient. The product with the head is not here.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void capped_logprob(Context& c, float* logprobs, float* lse, float* entropy, int32_t* best, float* logits, const int32_t* targets, i64 M, i64 V,
                    float cap) {
  parallel_range(c, M, 1, [&](i64 m, i64) {
    float* row = logits + m * V;
    float max = -INFINITY;
    i64 top = 0;
    for (i64 v = 0; v < V; v++) {
      row[v] = cap * tanhf(row[v] / cap);
      if (row[v] > max) max = row[v], top = v;
    }
    // In f64: sums of so many terms, one of them picked out of the difference.
    double total = 0, weighted = 0;
    for (i64 v = 0; v < V; v++) {
      const double p = vexp(row[v] - max);
      total += p;
      weighted += p * row[v];
    }
    const double whole = max + log(total);
    lse[m] = static_cast<float>(whole);
    logprobs[m] = static_cast<float>(row[targets[m]] - whole);
    if (entropy) entropy[m] = static_cast<float>(whole - weighted / total);
    if (best) best[m] = static_cast<int32_t>(top);
  });
}

/// From capped logits: d logit = dlogprob · (1[target] − p) · (1 − (capped / cap)²), in their place.
void capped_logprob_backward(Context& c, float* logits, const float* dlogprobs, const int32_t* targets, const float* lse, i64 M, i64 V, float cap) {
  parallel_range(c, M, 1, [&](i64 m, i64) {
    float* row = logits + m * V;
    const vf d = broadcast(dlogprobs[m]), base = broadcast(lse[m]);
    const float t = row[targets[m]] / cap;
    const float at_target = dlogprobs[m] * (1.0f - t * t);
    for (i64 v = 0; v < V; v += W) {
      const i64 count = V - v < W ? V - v : W;
      const vf x = load_some(row + v, count), u = x / cap;
      store_some(row + v, -d * vexp(x - base) * (1.0f - u * u), count);
    }
    row[targets[m]] += at_target;
  });
}

}  // namespace attune::ATTUNE_ISA
