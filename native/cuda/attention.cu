// Attention over packed segments with prefixes, forward, after FlashAttention 2 (Dao 2023): a block keeps a tile of rows and walks over their keys with a
// running maximum and sum; scores never leave its registers. The grid has as many tiles as there can be; a block looks its own up in the segment table,
// which stays on the device. Few queries with many keys (decoding) would leave most of the card idle: then several blocks share a tile's keys (Flash-Decoding,
// Dao et al. 2023), each leaves its sums, and a second kernel joins them in order.
#include "attention.cuh"

/// Keys of a part: fewer are not worth a block.
constexpr int LEAST_KEYS = 128;

/// part: where gridDim.z parts of a tile leave, for each row, its maximum, its total, and D sums; null: there is one, and its results are the results.
template <int P, int DP, int TM, int TN>
DEVICE void attend(const Attention& a, float* out, float* lse, float* part) {
  constexpr int threads = TM * 2;
  BLOCK_MEMORY(u16, tile_q);
  u16* tile_k = tile_q + P * TM * (DP + 8);  // and of v, after k has been used
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, kv = blockIdx.y, G = a.group(), width = a.width();
  Segment s;
  int first;
  if (!a.find_tile(TM, s, first)) return;
  const int rows = s.query_length * G, last = min(first + TM, rows) - 1, places = a.end(s, last / G);
  const Attention::Range range = a.part_of(a.begin(s, first / G) / TN * TN, places, blockIdx.z, gridDim.z, TN, part ? LEAST_KEYS : TN);
  if (part && range.begin >= range.end) return;
  load_rows<P, DP, TM, threads>(tile_q, a, [&](int i) { return first + i < rows ? a.q + a.query_row(s, first + i, kv) * a.D : nullptr; });

  float sums[DP / 8][4] = {}, largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  int begin[2], end[2];
  for (int h = 0; h < 2; h++) {
    const int r = first + warp * 16 + lane / 4 + h * 8;
    begin[h] = a.begin(s, r / G);
    end[h] = r < rows ? a.end(s, r / G) : 0;
  }
  for (int place = range.begin; place < range.end; place += TN) {
    const auto key = [&](const float* x, int i) { return place + i < range.end ? x + a.key_row(s, place + i, kv) * a.D : nullptr; };
    __syncthreads();
    load_rows<P, DP, TN, threads>(tile_k, a, [&](int i) { return key(a.k, i); });
    __syncthreads();
    float p[TN / 8][4] = {};
    rows_by_rows<P, DP, TM, TN / 8>(p, tile_q, warp * 16, tile_k, width, lane);
    __syncthreads();
    load_rows<P, DP, TN, threads>(tile_k, a, [&](int i) { return key(a.v, i); });
    UNROLL
    for (int h = 0; h < 2; h++) {
      float top = largest[h];
      UNROLL
      for (int n = 0; n < TN / 8; n++) {
        UNROLL
        for (int e = 2 * h; e < 2 * h + 2; e++) {
          const int at = place + n * 8 + lane % 4 * 2 + e % 2;
          p[n][e] = at >= begin[h] && at < end[h] ? a.score(p[n][e]).value : -INFINITY;
          top = fmaxf(top, p[n][e]);
        }
      }
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      const float base = top == -INFINITY ? 0.0f : top, shrink = expf(largest[h] - base);
      float sum = 0;
      UNROLL
      for (int n = 0; n < TN / 8; n++) {
        UNROLL
        for (int e = 2 * h; e < 2 * h + 2; e++) sum += p[n][e] = expf(p[n][e] - base);
      }
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      largest[h] = top;
      total[h] = total[h] * shrink + sum;
      UNROLL
      for (int n = 0; n < DP / 8; n++) sums[n][2 * h] *= shrink, sums[n][2 * h + 1] *= shrink;
    }
    __syncthreads();
    add_weighted<P, DP, TN / 8, DP / 8>(sums, p, tile_k, 0, width, lane);
  }

  UNROLL
  for (int h = 0; h < 2; h++) {
    const int r = first + warp * 16 + lane / 4 + h * 8;
    if (r >= rows) continue;
    const i64 row = a.query_row(s, r, kv);
    if (part) {
      float* to = part + (blockIdx.z * static_cast<i64>(a.queries) * a.H + row) * (a.D + 2);
      if (lane % 4 == 0) to[0] = largest[h], to[1] = total[h];
      UNROLL
      for (int n = 0; n < DP / 8; n++) {
        const int d = n * 8 + lane % 4 * 2;
        if (d < a.D) to[2 + d] = sums[n][2 * h];
        if (d + 1 < a.D) to[2 + d + 1] = sums[n][2 * h + 1];
      }
      continue;
    }
    if (lane % 4 == 0) lse[row] = largest[h] + logf(total[h]);
    UNROLL
    for (int n = 0; n < DP / 8; n++) {
      const int d = n * 8 + lane % 4 * 2;
      if (d < a.D) out[row * a.D + d] = sums[n][2 * h] / total[h];
      if (d + 1 < a.D) out[row * a.D + d + 1] = sums[n][2 * h + 1] / total[h];
    }
  }
}

#define ATTEND(name, P, DP, TM, TN)                                                                                                              \
  KERNEL(TM * 2) name(float* out, float* lse, float* part, ATTENTION_ARGUMENTS) { attend<P, DP, TM, TN>(ATTENTION, out, lse, part); } \
  EXPORT(name)
ATTEND(attention_exact_64, 3, 64, 32, 32)
ATTEND(attention_exact_128, 3, 128, 32, 32)
ATTEND(attention_exact_256, 3, 256, 32, 32)
ATTEND(attention_rounded_64, 1, 64, 64, 64)
ATTEND(attention_rounded_128, 1, 128, 64, 64)
ATTEND(attention_rounded_256, 1, 256, 64, 64)

/// out and lse from the parts of each tile of TM rows, in order: a warp a row.
template <int TM, int TN>
DEVICE void join(const Attention& a, float* out, float* lse, const float* part, int parts) {
  const int lane = threadIdx.x % 32, kv = blockIdx.y, G = a.group();
  Segment s;
  int first;
  if (!a.find_tile(TM, s, first)) return;
  const int rows = s.query_length * G, past = min(first + TM, rows), from = a.begin(s, first / G) / TN * TN, places = a.end(s, (past - 1) / G);
  const i64 stride = static_cast<i64>(a.queries) * a.H * (a.D + 2);
  for (int r = first + threadIdx.x / 32; r < past; r += 4) {
    const i64 row = a.query_row(s, r, kv);
    const float* of_row = part + row * (a.D + 2);
    float top = -INFINITY, total = 0;
    int count = 0;  // of the parts that had keys
    for (; count < parts; count++) {
      const Attention::Range range = a.part_of(from, places, count, parts, TN, LEAST_KEYS);
      if (range.begin >= range.end) break;
      top = fmaxf(top, of_row[count * stride]);
    }
    for (int p = 0; p < count; p++) total += expf(of_row[p * stride] - top) * of_row[p * stride + 1];
    for (int d = lane; d < a.D; d += 32) {
      float sum = 0;
      for (int p = 0; p < count; p++) sum += expf(of_row[p * stride] - top) * of_row[p * stride + 2 + d];
      out[row * a.D + d] = sum / total;
    }
    if (lane == 0) lse[row] = top + logf(total);
  }
}

#define JOIN(name, TM, TN)                                                                                                                        \
  KERNEL(128) name(float* out, float* lse, const float* part, int parts, ATTENTION_ARGUMENTS) { join<TM, TN>(ATTENTION, out, lse, part, parts); } \
  EXPORT(name)
JOIN(attention_join_exact, 32, 32)
JOIN(attention_join_rounded, 64, 64)
