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

/// Packs a tile's rows of x(queries, H, D) turned and scaled: panels of (D, tile_nr), a lane a row. Rows past the end repeat the last one:
/// nobody looks at what they give.
static inline void pack_turned(float* out, const float* x, i64 first, i64 rows, i64 padded, i64 G, i64 H, i64 D, i64 kv, float scale) {
  for (i64 n = 0; n < padded; n += W) {
    float* panel = out + n / tile_nr * tile_nr * D + n % tile_nr;
    for (i64 d = 0; d < D; d += W) {
      const i64 count = D - d < W ? D - d : W;
      vf block[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) block[i] = load_some(x + row_offset(first, n + i < rows ? n + i : rows - 1, G, H, D, kv) + d, count);
      transpose(block);
      for (i64 i = 0; i < count; i++) store(panel + (d + i) * tile_nr, block[i] * scale);
    }
  }
}

/// The part of a product's depth that matters to some of its rows: what lies outside is multiplied with zeros, and left out.
struct Depth {
  i64 begin, end;
};

/// One strip of NV vectors of columns, the last of them `count` floats wide:
/// out(rows, strip) = a · b, or out ∘ shrink + a · b, b's row k at b + k·b_row, a(m, k) at a[m·a_row + k], or `across` at a[m + k·a_row].
/// Rows go tile_mr at a time, those from m on over depth_of(m). Nothing is packed.
template <Into into, bool across, int NV, class Depths, class Shrink>
static inline void strip_product(float* out, i64 ldc, const float* a, i64 a_row, const float* b, i64 b_row, i64 rows, i64 count, const Depths& depth_of,
                                 const Shrink& shrink) {
  for (i64 m = 0; m < rows; m += tile_mr) {
    const Depth depth = depth_of(m);
    if (into == Into::add && depth.begin >= depth.end) continue;
    const float* from[tile_mr];
#pragma GCC unroll 8
    for (int i = 0; i < tile_mr; i++) from[i] = across ? a + m + i : a + (m + i < rows ? m + i : rows - 1) * a_row;
    const float *line = b + depth.begin * b_row, *column = from[0] + depth.begin * a_row;
    if (into == Into::add && !across)  // dk and dv lie a token apart: with their lines asked for, these two products take a third less
      for (i64 i = m; i < m + tile_mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++) __builtin_prefetch(out + i * ldc + j * W, 1);
    vf acc[tile_mr][NV] = {};
#pragma GCC unroll 8
    for (i64 k = depth.begin; k < depth.end; k++, line += b_row, column += a_row) {
      vf row[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; j++) row[j] = j == NV - 1 ? load_some(line + j * W, count) : load(line + j * W);
#pragma GCC unroll 8
      for (int i = 0; i < tile_mr; i++) {
        const vf x = broadcast(across ? column[i] : from[i][k]);
#pragma GCC unroll 4
        for (int j = 0; j < NV; j++) acc[i][j] = x * row[j] + acc[i][j];
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < tile_mr; i++) {
      if (m + i >= rows) break;
#pragma GCC unroll 4
      for (int j = 0; j < NV; j++) {
        float* p = out + (m + i) * ldc + j * W;
        const i64 width = j == NV - 1 ? count : W;
        store_some(p, into == Into::add ? load_some(p, width) * shrink(m + i) + acc[i][j] : acc[i][j], width);
      }
    }
  }
}

/// out(rows, columns) = out ∘ shrink + a · b in strips of two vectors, or three where one would be left (a single one waits for its loads).
template <bool across, class Depths, class Shrink>
static inline void add_product(float* out, i64 ldc, const float* a, i64 a_row, const float* b, i64 b_row, i64 rows, i64 columns, const Depths& depth_of,
                               const Shrink& shrink) {
  for (i64 n = 0; n < columns;) {
    const i64 left = columns - n, vectors = (left + W - 1) / W, last = left - (vectors - 1) * W;
    const auto strip = [&]<int NV>(i64 count) {
      strip_product<Into::add, across, NV>(out + n, ldc, a, a_row, b + n, b_row, rows, count, depth_of, shrink);
      n += NV * W;
    };
    if (vectors == 1)
      strip.template operator()<1>(last);
    else if (vectors == 3)
      strip.template operator()<3>(last);
    else
      strip.template operator()<2>(vectors == 2 ? last : W);
  }
}

/// Scores the other way round: out(keys, tile_nr) at rows `ld` apart = rows of k, read where they lie, · a panel of a tile's rows turned by
/// pack_turned. A lane is a query then, so a row's maximum and sum need no reduction across lanes, and keys and values no packing. The first
/// `near` keys go with all lanes, the others with the second vector only: the first one's queries do not see them.
static inline void turned_scores(float* out, i64 ld, const float* k, i64 stride, const float* panel, i64 near, i64 keys, i64 D) {
  const auto whole = [D](i64) { return Depth{0, D}; };
  const auto none = [](i64) { return 1.0f; };
  const i64 both = round_up(near, tile_mr) < keys ? round_up(near, tile_mr) : keys;
  strip_product<Into::write, false, tile_nv>(out, ld, k, stride, panel, tile_nr, both, W, whole, none);
  strip_product<Into::write, false, 1>(out + both * ld + W, ld, k + both * stride, stride, panel + W, tile_nr, keys - both, W, whole, none);
}

/// Asks for a row of D floats, to be used at once, or some thousand cycles on (into L2). Rows lie a token apart, in pieces of one head,
/// which the processor does not foresee.
enum class When { soon, later };
template <When when>
ATTUNE_INLINE void fetch_row(const float* x, i64 D) {
  for (i64 d = 0; d < D; d += 16) __builtin_prefetch(x + d, 0, when == When::soon ? 3 : 2);
}
template <When when>
ATTUNE_INLINE void fetch_block(const float* x, const KeyBlock& block, i64 stride, i64 D) {
  for (i64 i = 0; i < block.length; i++) fetch_row<when>(x + (block.start + i) * stride, D);
}
/// The queries of a tile in x(queries, H, D).
static inline void fetch_queries(const float* x, i64 first, i64 queries, i64 G, i64 H, i64 D, i64 kv) {
  for (i64 j = 0; j < queries; j++) fetch_row<When::later>(x + row_offset(first, j * G, G, H, D, kv), G * D);
}

/// What a tile's rows see of a block.
struct View {
  const Segment& s;
  const KeyBlock& block;
  i64 j0, rows, G;  // first query, rows of the tile
  /// Keys that row r sees; rows past the end see what the last one does.
  i64 keys(i64 r) const { return visible(s, block, j0 + (r < rows ? r : rows - 1) / G); }
  /// The first row that sees key i.
  i64 first_row(i64 i) const {
    if (block.own < 0) return 0;
    const i64 j = i + block.own + s.query_length - s.key_length - j0;
    return j < 0 ? 0 : j * G;
  }
};

/// What the W rows of a tile from r0 on see of a block: `sure` keys all of them, `keys` at least one, `seen` each lane.
struct Lanes {
  i64 sure, keys;
  vi seen;
};
ATTUNE_INLINE Lanes lanes_at(const View& view, i64 r0) {
  Lanes lanes{view.keys(r0), view.keys(r0 + W - 1), {}};
  if (lanes.sure < lanes.keys)  // at the causal edge; each lane takes a division
    for (int l = 0; l < W; l++) lanes.seen[l] = static_cast<int32_t>(view.keys(r0 + l));
  return lanes;
}

}  // namespace attune::ATTUNE_ISA
