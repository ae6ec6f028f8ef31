// What attention's kernels share: segments, tiles of rows in block memory, and the two products a tile takes part in. A row is a query under one of the
// G query heads that share a key/value head, so that heads share what is loaded and one decoded token still fills a tile's rows.
#pragma once
#include "platform.cuh"

struct Segment {
  int query_start, query_length, prefix_start, prefix_length, key_start, key_length;
};

struct Attention {
  const float *q, *k, *v;
  const Segment* segments;
  int S, H, K, D, queries, keys;  // queries, keys: rows that q and k have
  float scale;
  int window;
  float cap;
  int whole;  // rows lie where four numbers can be read at once
  Fault* fault;

  DEVICE int group() const { return H / K; }
  DEVICE i64 query_row(const Segment& s, int r, int kv) const {
    const int G = group();
    return static_cast<i64>(s.query_start + r / G) * H + kv * G + r % G;
  }
  /// Places count through the prefix into the segment's own keys.
  DEVICE i64 key_row(const Segment& s, int place, int kv) const {
    const int row = place < s.prefix_length ? s.prefix_start + place : s.key_start + place - s.prefix_length;
    return static_cast<i64>(row) * K + kv;
  }
  /// Query j sees places [begin, end).
  DEVICE int end(const Segment& s, int j) const { return s.prefix_length + s.key_length - s.query_length + j + 1; }
  DEVICE int begin(const Segment& s, int j) const { return window > 0 ? max(0, end(s, j) - window) : 0; }
  DEVICE int width() const { return (D + 15) / 16 * 16; }

  /// False, and a fault, where a segment reaches outside q or k.
  DEVICE bool read(Segment& s, int i) const {
    s = segments[i];
    const bool inside = s.query_start >= 0 && s.query_length >= 0 && s.query_length <= queries - s.query_start && s.prefix_start >= 0 && s.prefix_length >= 0 &&
                        s.prefix_length <= keys - s.prefix_start && s.key_start >= 0 && s.key_length >= s.query_length && s.key_length <= keys - s.key_start;
    if (!inside) *fault = Fault{FAULT_SEGMENTS, i, queries, keys};
    return inside;
  }
  /// The segment and first row of this block's tile of rows; false past the last tile.
  DEVICE bool find_tile(int rows, Segment& s, int& first) const {
    int tile = blockIdx.x;
    for (int i = 0; i < S; i++) {
      if (!read(s, i)) return false;
      const int tiles = (s.query_length * group() + rows - 1) / rows;
      if (tile < tiles) {
        first = tile * rows;
        return true;
      }
      tile -= tiles;
    }
    return false;
  }

  /// The places [from, to) that one of a tile's parts has, in whole steps, at least `least` but in the last one; none: begin is not before end.
  struct Range {
    int begin, end;
  };
  DEVICE Range part_of(int from, int to, int part, int parts, int step, int least) const {
    const int depth = max(least, ((to - from + parts - 1) / parts + step - 1) / step * step);
    return {from + part * depth, min(to, from + (part + 1) * depth)};
  }

  struct Score {
    float value, slope;
  };
  DEVICE Score score(float product) const {
    if (cap == 0.0f) return {scale * product, 1.0f};
    const float tanh = tanhf(scale * product / cap);
    return {cap * tanh, 1.0f - tanh * tanh};
  }
};

/// `rows` rows of D numbers into block memory, zeros beyond D and where row_of(i) is null.
template <int P, int DP, int rows, int threads, class RowOf>
DEVICE void load_rows(u16* to, const Attention& a, const RowOf& row_of) {
  const int fours = a.width() / 4;
  for (int at = threadIdx.x; at < rows * fours; at += threads) {
    const int i = at / fours, d = at % fours * 4;
    const float* row = row_of(i);
    store4<P>(to + i * (DP + 8) + d, rows * (DP + 8), load4(row + d, row ? a.D - d : 0, a.whole));
  }
}

/// sums(16, NT · 8) += left(16 rows from `row` on, D) · right(NT · 8, D)ᵀ
template <int P, int DP, int left_rows, int NT>
DEVICE void rows_by_rows(float (&sums)[NT][4], const u16* left, int row, const u16* right, int width, int lane) {
  constexpr int pitch = DP + 8;
  for (int d = 0; d < width; d += 16) {
    u32 a[P][4];
    UNROLL
    for (int p = 0; p < P; p++) load_left<false>(a[p], left + p * left_rows * pitch, pitch, row, d, lane);
    UNROLL
    for (int j = 0; j < NT / 2; j++) {
      u32 b[P][4];
      UNROLL
      for (int p = 0; p < P; p++) load_right<false>(b[p], right + p * NT * 8 * pitch, pitch, j * 16, d, lane);
      multiply<P, P>(sums[2 * j], a, b, 0);
      multiply<P, P>(sums[2 * j + 1], a, b, 1);
    }
  }
}

/// sums(16, ND · 8) += weights(16, NT · 8) · right(NT · 8, D)[:, from ..]; the weights are as a product left them in registers.
template <int P, int DP, int NT, int ND>
DEVICE void add_weighted(float (&sums)[ND][4], const float (&weights)[NT][4], const u16* right, int from, int width, int lane) {
  constexpr int pitch = DP + 8;
  UNROLL
  for (int i = 0; i < NT / 2; i++) {
    u32 a[P][4];
    UNROLL
    for (int r = 0; r < 4; r++) {
      u16 low[P], high[P];
      split<P>(weights[2 * i + r / 2][r % 2 * 2], low);
      split<P>(weights[2 * i + r / 2][r % 2 * 2 + 1], high);
      UNROLL
      for (int p = 0; p < P; p++) a[p][r] = pair(low[p], high[p]);
    }
    UNROLL
    for (int n = 0; n < ND / 2; n++) {
      if (from + n * 16 >= width) continue;
      u32 b[P][4];
      UNROLL
      for (int p = 0; p < P; p++) load_right<true>(b[p], right + p * NT * 8 * pitch, pitch, from + n * 16, i * 16, lane);
      multiply<P, P>(sums[2 * n], a, b, 0);
      multiply<P, P>(sums[2 * n + 1], a, b, 1);
    }
  }
}

#define ATTENTION_ARGUMENTS                                                                                                                            \
  const float *q, const float *k, const float *v, const int *segments, int S, int H, int K, int D, int queries, int keys, float scale, int window, float cap, \
      int whole, Fault *fault
#define ATTENTION \
  Attention { q, k, v, reinterpret_cast<const Segment*>(segments), S, H, K, D, queries, keys, scale, window, cap, whole, fault }
