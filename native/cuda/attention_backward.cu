// Attention's backward, without atomics: one kernel makes dq, a tile of rows a block, walking over their keys; another makes dk and dv, a tile of keys a
// block, walking over all segments that see them, in order, which is what a shared prefix's keys gather. Both make the probabilities anew from lse.
#include "attention.cuh"

/// delta(row) = Σ dout · out: Σ p · dp of the softmax's backward, since out = Σ p · v. A warp a row of a head.
KERNEL(128) attention_delta(float* delta, const float* dout, const float* out, i64 rows, int D) {
  const i64 row = static_cast<i64>(blockIdx.x) * 4 + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (row >= rows) return;
  float sum = 0;
  for (int d = lane; d < D; d += 32) sum += dout[row * D + d] * out[row * D + d];
  sum = warp_sum(sum);
  if (lane == 0) delta[row] = sum;
}
EXPORT(attention_delta)

template <int P, int DP, int TM, int TN>
DEVICE void backward_queries(const Attention& a, float* dq, const float* dout, const float* lse, const float* delta) {
  constexpr int threads = TM * 2, pitch = DP + 8;
  BLOCK_MEMORY(u16, tile_q);
  u16 *tile_dout = tile_q + P * TM * pitch, *tile_k = tile_dout + P * TM * pitch, *tile_v = tile_k + P * TN * pitch;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, kv = blockIdx.y, G = a.group(), width = a.width();
  Segment s;
  int first;
  if (!a.find_tile(TM, s, first)) return;
  const int rows = s.query_length * G, last = min(first + TM, rows) - 1, places = a.end(s, last / G);
  const auto row_of = [&](const float* x, int i) { return first + i < rows ? x + a.query_row(s, first + i, kv) * a.D : nullptr; };
  load_rows<P, DP, TM, threads>(tile_q, a, [&](int i) { return row_of(a.q, i); });
  load_rows<P, DP, TM, threads>(tile_dout, a, [&](int i) { return row_of(dout, i); });

  float sums[DP / 8][4] = {}, row_lse[2] = {0, 0}, row_delta[2] = {0, 0};
  int begin[2], end[2];
  for (int h = 0; h < 2; h++) {
    const int r = first + warp * 16 + lane / 4 + h * 8;
    begin[h] = a.begin(s, r / G);
    end[h] = r < rows ? a.end(s, r / G) : 0;
    if (r < rows) row_lse[h] = lse[a.query_row(s, r, kv)], row_delta[h] = delta[a.query_row(s, r, kv)];
  }
  for (int place = a.begin(s, first / G) / TN * TN; place < places; place += TN) {
    const auto key = [&](const float* x, int i) { return place + i < places ? x + a.key_row(s, place + i, kv) * a.D : nullptr; };
    __syncthreads();
    load_rows<P, DP, TN, threads>(tile_k, a, [&](int i) { return key(a.k, i); });
    load_rows<P, DP, TN, threads>(tile_v, a, [&](int i) { return key(a.v, i); });
    __syncthreads();
    float products[TN / 8][4] = {}, dp[TN / 8][4] = {};
    rows_by_rows<P, DP, TM, TN / 8>(products, tile_q, warp * 16, tile_k, width, lane);
    rows_by_rows<P, DP, TM, TN / 8>(dp, tile_dout, warp * 16, tile_v, width, lane);  // undoes, through p: out = Σ p · v
    UNROLL
    for (int n = 0; n < TN / 8; n++) {
      UNROLL
      for (int e = 0; e < 4; e++) {
        const int h = e / 2, at = place + n * 8 + lane % 4 * 2 + e % 2;
        const Attention::Score score = a.score(products[n][e]);
        // undoes p = softmax(scores), the cap, and score = scale · q · k
        products[n][e] = at >= begin[h] && at < end[h] ? expf(score.value - row_lse[h]) * (dp[n][e] - row_delta[h]) * score.slope * a.scale : 0.0f;
      }
    }
    add_weighted<P, DP, TN / 8, DP / 8>(sums, products, tile_k, 0, width, lane);  // undoes, through q: q · k
  }
  UNROLL
  for (int n = 0; n < DP / 8; n++) {
    UNROLL
    for (int e = 0; e < 4; e++) {
      const int r = first + warp * 16 + lane / 4 + e / 2 * 8, d = n * 8 + lane % 4 * 2 + e % 2;
      if (r < rows && d < a.D) dq[a.query_row(s, r, kv) * a.D + d] += sums[n][e];
    }
  }
}

/// Of the columns from blockIdx.z · DN on: 256 of them would not fit the registers twice.
template <int P, int DP, int DN, int TM, int TN>
DEVICE void backward_keys(const Attention& a, float* dk, float* dv, const float* dout, const float* lse, const float* delta) {
  constexpr int threads = TM * 2, pitch = DP + 8;
  __shared__ float tile_lse[TN], tile_delta[TN];
  BLOCK_MEMORY(u16, tile_k);
  u16 *tile_v = tile_k + P * TM * pitch, *tile_q = tile_v + P * TM * pitch, *tile_dout = tile_q + P * TN * pitch;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, kv = blockIdx.y, G = a.group(), width = a.width(), from = blockIdx.z * DN;
  const int first = blockIdx.x * TM, past = min(first + TM, a.keys);  // of the tile's key rows
  const auto row_of = [&](const float* x, int i) { return first + i < past ? x + (static_cast<i64>(first + i) * a.K + kv) * a.D : nullptr; };
  load_rows<P, DP, TM, threads>(tile_k, a, [&](int i) { return row_of(a.k, i); });
  load_rows<P, DP, TM, threads>(tile_v, a, [&](int i) { return row_of(a.v, i); });

  float dk_sums[DN / 8][4] = {}, dv_sums[DN / 8][4] = {};
  for (int i = 0; i < a.S; i++) {
    Segment s;
    if (!a.read(s, i)) return;
    const bool in_prefix = s.prefix_length > 0 && first < s.prefix_start + s.prefix_length && past > s.prefix_start;
    const bool in_own = first < s.key_start + s.key_length && past > s.key_start;
    if (!in_prefix && !in_own) continue;
    // the tile's places in this segment, and by them the queries that can see one
    const int least = in_prefix ? max(0, first - s.prefix_start) : s.prefix_length + max(0, first - s.key_start);
    const int most = in_own ? s.prefix_length + min(s.key_length, past - s.key_start) - 1 : min(s.prefix_length, past - s.prefix_start) - 1;
    const int shift = s.prefix_length + s.key_length - s.query_length;  // query j sees places up to shift + j
    const int rows = (a.window > 0 ? min(s.query_length, max(0, most + a.window - shift)) : s.query_length) * G;
    int place[2];
    for (int h = 0; h < 2; h++) {
      const int row = first + warp * 16 + lane / 4 + h * 8;
      const bool prefix = row >= s.prefix_start && row < s.prefix_start + s.prefix_length, own = row >= s.key_start && row < s.key_start + s.key_length;
      place[h] = prefix ? row - s.prefix_start : own ? s.prefix_length + row - s.key_start : -1;
    }
    for (int r0 = max(0, least - shift) * G / TN * TN; r0 < rows; r0 += TN) {
      const auto query = [&](const float* x, int r) { return r0 + r < rows ? x + a.query_row(s, r0 + r, kv) * a.D : nullptr; };
      __syncthreads();
      load_rows<P, DP, TN, threads>(tile_q, a, [&](int r) { return query(a.q, r); });
      load_rows<P, DP, TN, threads>(tile_dout, a, [&](int r) { return query(dout, r); });
      for (int r = threadIdx.x; r < TN; r += threads) {
        tile_lse[r] = r0 + r < rows ? lse[a.query_row(s, r0 + r, kv)] : 0.0f;
        tile_delta[r] = r0 + r < rows ? delta[a.query_row(s, r0 + r, kv)] : 0.0f;
      }
      __syncthreads();
      float p[TN / 8][4] = {}, dp[TN / 8][4] = {};  // keys down, queries across
      rows_by_rows<P, DP, TM, TN / 8>(p, tile_k, warp * 16, tile_q, width, lane);
      rows_by_rows<P, DP, TM, TN / 8>(dp, tile_v, warp * 16, tile_dout, width, lane);
      UNROLL
      for (int n = 0; n < TN / 8; n++) {
        UNROLL
        for (int e = 0; e < 4; e++) {
          const int r = n * 8 + lane % 4 * 2 + e % 2, j = (r0 + r) / G, at = place[e / 2];
          const bool seen = r0 + r < rows && at >= a.begin(s, j) && at < a.end(s, j);
          const Attention::Score score = a.score(p[n][e]);
          p[n][e] = seen ? expf(score.value - tile_lse[r]) : 0.0f;
          dp[n][e] = seen ? p[n][e] * (dp[n][e] - tile_delta[r]) * score.slope * a.scale : 0.0f;
        }
      }
      add_weighted<P, DP, TN / 8, DN / 8>(dv_sums, p, tile_dout, from, width, lane);  // undoes, through v: out = Σ p · v
      add_weighted<P, DP, TN / 8, DN / 8>(dk_sums, dp, tile_q, from, width, lane);    // undoes, through k: q · k
    }
  }
  UNROLL
  for (int n = 0; n < DN / 8; n++) {
    UNROLL
    for (int e = 0; e < 4; e++) {
      const int row = first + warp * 16 + lane / 4 + e / 2 * 8, d = from + n * 8 + lane % 4 * 2 + e % 2;
      if (row >= past || d >= a.D) continue;
      const i64 at = (static_cast<i64>(row) * a.K + kv) * a.D + d;
      dk[at] += dk_sums[n][e];
      dv[at] += dv_sums[n][e];
    }
  }
}

#define BACKWARD(queries_name, keys_name, P, DP, DN, TM, TN)                                                                                       \
  KERNEL(TM * 2) queries_name(float* dq, const float* dout, const float* lse, const float* delta, ATTENTION_ARGUMENTS) {                          \
    backward_queries<P, DP, TM, TN>(ATTENTION, dq, dout, lse, delta);                                                                              \
  }                                                                                                                                               \
  EXPORT(queries_name)                                                                                                                            \
  KERNEL(TM * 2) keys_name(float* dk, float* dv, const float* dout, const float* lse, const float* delta, ATTENTION_ARGUMENTS) {                  \
    backward_keys<P, DP, DN, TM, TN>(ATTENTION, dk, dv, dout, lse, delta);                                                                         \
  }                                                                                                                                               \
  EXPORT(keys_name)
BACKWARD(attention_dq_exact_64, attention_dkv_exact_64, 3, 64, 64, 32, 16)
BACKWARD(attention_dq_exact_128, attention_dkv_exact_128, 3, 128, 128, 32, 16)
BACKWARD(attention_dq_exact_256, attention_dkv_exact_256, 3, 256, 128, 16, 16)
BACKWARD(attention_dq_rounded_64, attention_dkv_rounded_64, 1, 64, 64, 64, 32)
BACKWARD(attention_dq_rounded_128, attention_dkv_rounded_128, 1, 128, 128, 64, 32)
BACKWARD(attention_dq_rounded_256, attention_dkv_rounded_256, 1, 256, 128, 64, 32)
