// Mixtures of experts: the router, where each of its pairs of a row and an expert lies, and the weighted sum of what experts made. Pairs are laid out
// without atomics: a block an expert walks over all of them in order.
#include "platform.cuh"

/// A warp a row: softmax, and the K likeliest one after the other, the lower expert of a tie.
KERNEL(128) route_rows(float* probs, float* weights, int* chosen, const float* logits, int N, int E, int K, int normalise) {
  const int n = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (n >= N) return;
  const float* row = logits + static_cast<i64>(n) * E;
  float top = -INFINITY, sum = 0;
  for (int e = lane; e < E; e += 32) top = fmaxf(top, row[e]);
  top = warp_max(top);
  for (int e = lane; e < E; e += 32) sum += expf(row[e] - top);
  sum = warp_sum(sum);
  for (int e = lane; e < E; e += 32) probs[static_cast<i64>(n) * E + e] = expf(row[e] - top) / sum;
  float last = INFINITY, all = 0;
  int last_expert = -1;
  for (int j = 0; j < K; j++) {
    float best = -INFINITY;
    int expert = E;
    for (int e = lane; e < E; e += 32)
      if ((row[e] < last || (row[e] == last && e > last_expert)) && (row[e] > best || expert == E)) best = row[e], expert = e;
    for (int d = 16; d > 0; d >>= 1) {
      const float other = __shfl_xor_sync(0xffffffffu, best, d);
      const int other_expert = __shfl_xor_sync(0xffffffffu, expert, d);
      if (other_expert < E && (expert == E || other > best || (other == best && other_expert < expert))) best = other, expert = other_expert;
    }
    if (expert == E) expert = j, best = row[j];  // logits that are no numbers
    const float p = expf(best - top) / sum;
    all += p;
    if (lane == 0) {
      chosen[static_cast<i64>(n) * K + j] = expert;
      weights[static_cast<i64>(n) * K + j] = p;
    }
    last = best;
    last_expert = expert;
  }
  if (normalise && lane == 0)
    for (int j = 0; j < K; j++) weights[static_cast<i64>(n) * K + j] /= all;
}
EXPORT(route_rows)

/// The sums of x over the threads up to and with this one; all 256 take part.
DEVICE int sum_up_to(int x) {
  __shared__ int part[256];
  const int thread = threadIdx.x;
  part[thread] = x;
  __syncthreads();
  for (int d = 1; d < 256; d <<= 1) {
    const int before = thread >= d ? part[thread - d] : 0;
    __syncthreads();
    part[thread] += before;
    __syncthreads();
  }
  return part[thread];
}

/// counts(E): a block an expert.
KERNEL(256) count_pairs(int* counts, const int* chosen, int pairs) {
  __shared__ int total;
  int count = 0;
  for (int i = threadIdx.x; i < pairs; i += 256) count += chosen[i] == static_cast<int>(blockIdx.x);
  count = sum_up_to(count);
  if (threadIdx.x == 255) total = count;
  __syncthreads();
  if (threadIdx.x == 0) counts[blockIdx.x] = total;
}
EXPORT(count_pairs)

/// One thread: bounds(E + 1) from counts(E), and load(E) += them.
KERNEL(32) place_experts(int* bounds, float* load, const int* counts, int E) {
  if (threadIdx.x != 0) return;
  int end = 0;
  for (int e = 0; e < E; e++) {
    bounds[e] = end;
    end += counts[e];
    if (load) load[e] += static_cast<float>(counts[e]);
  }
  bounds[E] = end;
}
EXPORT(place_experts)

KERNEL(256) place_pairs(int* slots, int* rows, const int* bounds, const int* chosen, int pairs, int K) {
  __shared__ int next;
  const int thread = threadIdx.x;
  if (thread == 0) next = bounds[blockIdx.x];
  for (int from = 0; from < pairs; from += 256) {
    const bool mine = from + thread < pairs && chosen[from + thread] == static_cast<int>(blockIdx.x);
    const int before = sum_up_to(mine ? 1 : 0);
    if (mine) {
      slots[from + thread] = next + before - 1;
      rows[next + before - 1] = (from + thread) / K;
    }
    __syncthreads();
    if (thread == 255) next += before;
    __syncthreads();
  }
}
EXPORT(place_pairs)

/// A warp a row. dprobs may be null.
KERNEL(128) route_backward(float* dlogits, const float* dweights, const float* dprobs, const float* probs, const float* weights, const int* chosen, int N, int E,
                           int K, int normalise) {
  const int n = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (n >= N) return;
  const float *p = probs + static_cast<i64>(n) * E, *dw = dweights + static_cast<i64>(n) * K, *w = weights + static_cast<i64>(n) * K;
  const int* at = chosen + static_cast<i64>(n) * K;
  float sum = 1, turned = 0;
  if (normalise) {
    sum = 0;
    for (int j = 0; j < K; j++) {
      sum += p[at[j]];
      turned += dw[j] * w[j];  // undoes, through the sum: weight = prob / sum
    }
  }
  const auto slope = [&](int e) {
    float d = dprobs ? dprobs[e] : 0.0f;
    for (int j = 0; j < K; j++)
      if (at[j] == e) d += (dw[j] - turned) / sum;  // undoes, through prob: weight = prob / sum
    return d;
  };
  float mean = 0;
  for (int e = lane; e < E; e += 32) mean += slope(e) * p[e];
  mean = warp_sum(mean);
  for (int e = lane; e < E; e += 32) dlogits[static_cast<i64>(n) * E + e] = p[e] * (slope(e) - mean);  // undoes probs = softmax(logits)
}
EXPORT(route_backward)

KERNEL(256) combine_rows(float* out, const float* y, const float* weights, const int* slots, i64 n, int K, int C) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= n) return;
  const i64 row = i / C;
  float sum = 0;
  for (int j = 0; j < K; j++) sum += weights[row * K + j] * y[static_cast<i64>(slots[row * K + j]) * C + i % C];
  out[i] += sum;
}
EXPORT(combine_rows)

/// A warp a pair. dweights may be null.
KERNEL(128) combine_rows_backward(float* dy, float* dweights, const float* dout, const float* y, const float* weights, const int* slots, i64 pairs, int K, int C) {
  const i64 pair = static_cast<i64>(blockIdx.x) * 4 + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (pair >= pairs) return;
  const float *d = dout + pair / K * C, *a = y + static_cast<i64>(slots[pair]) * C;
  float* da = dy + static_cast<i64>(slots[pair]) * C;
  float sum = 0;
  for (int c = lane; c < C; c += 32) {
    sum += d[c] * a[c];             // undoes, through weights: out += weights · y
    da[c] = weights[pair] * d[c];   // undoes, through y: out += weights · y
  }
  sum = warp_sum(sum);
  if (dweights && lane == 0) dweights[pair] = sum;
}
EXPORT(combine_rows_backward)
