// See low_rank.h. Both operands are read as they lie: `wide` streams through once a piece of rows, in whole lines, and R × 48 sums stay in
// registers over a block of rows. A tile of the packed product uses 8 of its 14 rows (or 8 of 16 lanes) and packs `wide` first: 17 % of peak.
#include "low_rank.h"

namespace attune::ATTUNE_ISA {

namespace {

#if defined(__AVX512F__)
constexpr int group = 8, NV = 3;
#else
constexpr int group = 4, NV = 2;
#endif
constexpr i64 columns_max = NV * W;
constexpr i64 block = 64;  // rows that stay in L2 while the column tiles pass over them

/// sums(R, columns) += narrow(rows, R)ᵀ · wide(rows, columns); sums has room for columns_max.
template <int R, bool whole>
ATTUNE_INLINE void tile(float* sums, i64 sums_row, const float* narrow, i64 narrow_row, const float* wide, i64 wide_row, i64 rows, i64 columns) {
  vf acc[R][NV];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) acc[r][v] = load(sums + r * sums_row + v * W);
  for (i64 n = 0; n < rows; n++, narrow += narrow_row, wide += wide_row) {
    vf row[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) {
      const i64 left = columns - v * W;
      row[v] = whole ? load(wide + v * W) : left > 0 ? load_some(wide + v * W, left < W ? left : W) : vf{};
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const vf x = broadcast(narrow[r]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; v++) acc[r][v] = x * row[v] + acc[r][v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) store(sums + r * sums_row + v * W, acc[r][v]);
}

template <int R>
void tiles(float* sums, i64 sums_row, const float* narrow, i64 narrow_row, const float* wide, i64 I, i64 rows) {
  for (i64 i = 0; i < I; i += columns_max) {
    if (I - i >= columns_max)
      tile<R, true>(sums + i, sums_row, narrow, narrow_row, wide + i, I, rows, columns_max);
    else
      tile<R, false>(sums + i, sums_row, narrow, narrow_row, wide + i, I, rows, I - i);
  }
}

}  // namespace

void low_rank_product(Context& c, float* out, bool turned, const float* narrow, const float* wide, i64 N, i64 R, i64 I, float alpha, float beta) {
  // Pieces of rows depend on N alone; each gathers its own share, and the shares add in order.
  const i64 piece = ((N + 15) / 16 + block - 1) / block * block;
  const i64 pieces = (N + piece - 1) / piece, row = (I + columns_max - 1) / columns_max * columns_max;
  float* shares = c.scratch(Slot::rows, pieces * R * row);
  parallel_range(c, N, piece, [&](i64 begin, i64 end) {
    float* share = shares + begin / piece * R * row;
    memset(share, 0, static_cast<size_t>(R * row) * sizeof(float));
    for (i64 n = begin; n < end; n += block) {
      const i64 rows = end - n < block ? end - n : block;
      i64 r = 0;
      for (; r + group <= R; r += group) tiles<group>(share + r * row, row, narrow + n * R + r, R, wide + n * I, I, rows);
      if (group > 4 && r < R) tiles<4>(share + r * row, row, narrow + n * R + r, R, wide + n * I, I, rows);
    }
  });
  parallel_range(c, I, 64 * W, [&](i64 begin, i64 end) {
    for (i64 r = 0; r < R; r++)
      for (i64 i = begin; i < end; i += W) {
        const i64 count = end - i < W ? end - i : W;
        vf total = {};
        for (i64 p = 0; p < pieces; p++) total += load(shares + (p * R + r) * row + i);
        total = total * alpha;
        if (turned)
          for (i64 j = 0; j < count; j++) out[(i + j) * R + r] = beta == 0.0f ? total[j] : beta * out[(i + j) * R + r] + total[j];
        else
          store_some(out + r * I + i, beta == 0.0f ? total : load_some(out + r * I + i, count) * beta + total, count);
      }
  });
}

}  // namespace attune::ATTUNE_ISA
