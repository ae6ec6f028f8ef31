// What attention's two directions share: reading the segment table, and where a tile's rows lie.
// A tile is a few queries times the G = H/K query heads of one key head, so that a packed block of keys serves them all:
// row r of a tile is query r / G, head r % G.
#pragma once
#include "gemm.h"

namespace attune::ATTUNE_ISA {

constexpr i64 key_block = 64;
constexpr i64 tile_rows = 64;

struct Segment {
  i64 query_start, query_length, prefix_start, prefix_length, key_start, key_length;
};

ATTUNE_INLINE Segment segment_at(const int32_t* table, i64 s) {
  const int32_t* f = table + s * 6;
  return {f[0], f[1], f[2], f[3], f[4], f[5]};
}

ATTUNE_INLINE i64 queries_per_tile(i64 G) { return G >= tile_rows ? 1 : tile_rows / G; }

/// Keys of a segment come in blocks: first the prefix, which all queries see, then its own, up to the causal edge.
struct KeyBlock {
  i64 start;   // first row of k and v
  i64 length;  // 1 … key_block
  i64 own;     // index of the first key among the segment's own, or −1 in the prefix
};

ATTUNE_INLINE i64 block_count(i64 keys) { return (keys + key_block - 1) / key_block; }

ATTUNE_INLINE KeyBlock block_at(const Segment& s, i64 b) {
  const i64 ahead = block_count(s.prefix_length);
  const bool own = b >= ahead;
  const i64 first = (own ? b - ahead : b) * key_block;
  const i64 left = (own ? s.key_length : s.prefix_length) - first;
  return {(own ? s.key_start : s.prefix_start) + first, left < key_block ? left : key_block, own ? first : -1};
}

/// How many keys of the block query j sees.
ATTUNE_INLINE i64 visible(const Segment& s, const KeyBlock& b, i64 j) {
  if (b.own < 0) return b.length;
  const i64 seen = s.key_length - s.query_length + j + 1 - b.own;
  return seen < 0 ? 0 : seen < b.length ? seen : b.length;
}

/// Row r of a tile whose first query is `first`, in a tensor (queries, H, D).
ATTUNE_INLINE i64 row_offset(i64 first, i64 r, i64 G, i64 H, i64 D, i64 kv) { return ((first + r / G) * H + kv * G + r % G) * D; }

/// out(padded, columns) = a tile's rows of x(queries, H, D) · b, read where they lie; b in panels of (D, tile_nr), out's rows are
/// key_block apart. Rows past the end repeat the last one: nobody looks at what they give.
static inline void scores_of(float* out, const float* x, const float* b, i64 first, i64 rows, i64 padded, i64 columns, i64 G, i64 H, i64 D, i64 kv) {
  for (i64 m = 0; m < padded; m += tile_mr) {
    const float* from[tile_mr];
#pragma GCC unroll 8
    for (int i = 0; i < tile_mr; i++) from[i] = x + row_offset(first, m + i < rows ? m + i : rows - 1, G, H, D, kv);
    for (i64 n = 0; n < columns; n += tile_nr) {
      const float* panel = b + n * D;
      vf acc[tile_mr][tile_nv] = {};
      for (i64 d = 0; d < D; d++, panel += tile_nr) {
        vf row[tile_nv];
#pragma GCC unroll 2
        for (int j = 0; j < tile_nv; j++) row[j] = load(panel + j * W);
#pragma GCC unroll 8
        for (int i = 0; i < tile_mr; i++) {
          const vf a = broadcast(from[i][d]);
#pragma GCC unroll 2
          for (int j = 0; j < tile_nv; j++) acc[i][j] = a * row[j] + acc[i][j];
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < tile_mr; i++)
#pragma GCC unroll 2
        for (int j = 0; j < tile_nv; j++) store(out + (m + i) * key_block + n + j * W, acc[i][j]);
    }
  }
}

}  // namespace attune::ATTUNE_ISA
