// From rows of logits to what a loss wants of them, and back: a block a row, one pass over it.
#include "platform.cuh"

/// Of some logits: the largest with its lowest place, Σ exp(logit − largest), Σ exp(…) · (logit − largest).
struct Mass {
  float largest;
  int best;
  float sum, weighted;
};

/// The order does not matter to `best`, and is always the same for the sums.
DEVICE Mass merge(const Mass& a, const Mass& b) {
  const bool first = a.largest > b.largest || (a.largest == b.largest && a.best < b.best);
  const Mass &top = first ? a : b, &low = first ? b : a;
  if (low.sum == 0.0f) return top;
  const float down = low.largest - top.largest, shrink = expf(down);
  return {top.largest, top.best, top.sum + shrink * low.sum, top.weighted + shrink * (low.weighted + down * low.sum)};
}

/// cap > 0: logits become cap · tanh(logit / cap) in place. entropy and best may be null.
KERNEL(256) logprob_rows(float* logprobs, float* lse, float* entropy, int* best, float* logits, const int* targets, int V, float cap, Fault* fault) {
  __shared__ Mass part[256];
  const int m = blockIdx.x, thread = threadIdx.x;
  float* row = logits + static_cast<i64>(m) * V;
  Mass mass = {-INFINITY, 0x7fffffff, 0.0f, 0.0f};
  for (int v = thread; v < V; v += 256) {
    float x = row[v];
    if (cap > 0.0f) row[v] = x = cap * tanhf(x / cap);
    if (x > mass.largest || mass.best == 0x7fffffff) {
      const float down = mass.largest - x, shrink = mass.sum == 0.0f ? 0.0f : expf(down);
      mass = {x, v, 1.0f + shrink * mass.sum, mass.sum == 0.0f ? 0.0f : shrink * (mass.weighted + down * mass.sum)};
    } else {
      const float down = x - mass.largest, p = expf(down);
      mass.sum += p;
      mass.weighted += p * down;
    }
  }
  part[thread] = mass;
  __syncthreads();
  for (int d = 128; d > 0; d >>= 1) {
    if (thread < d) part[thread] = merge(part[thread], part[thread + d]);
    __syncthreads();
  }
  if (thread != 0) return;
  mass = part[0];
  const float log_sum = logf(mass.sum);
  lse[m] = mass.largest + log_sum;
  if (within(targets[m], V, fault, FAULT_TARGETS, m)) logprobs[m] = row[targets[m]] - mass.largest - log_sum;
  if (entropy) entropy[m] = log_sum - mass.weighted / mass.sum;
  if (best) best[m] = mass.best;
}
EXPORT(logprob_rows)

/// logits become their gradient: dlogprob · (1{v = target} − exp(logit − lse)), through the cap where there is one.
KERNEL(256) logprob_backward_rows(float* logits, const float* dlogprobs, const int* targets, const float* lse, int M, int V, float cap) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= static_cast<i64>(M) * V) return;
  const int m = static_cast<int>(i / V), v = static_cast<int>(i % V);
  const float x = logits[i];
  const float d = dlogprobs[m] * ((v == targets[m] ? 1.0f : 0.0f) - expf(x - lse[m]));  // undoes: logprob = logit[target] − lse
  logits[i] = cap > 0.0f ? d * (1.0f - x / cap * (x / cap)) : d;                         // undoes: cap · tanh(logit / cap)
}
EXPORT(logprob_backward_rows)
