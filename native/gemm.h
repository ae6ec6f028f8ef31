// The packed, register-blocked matrix product every linear map stands on, and its pieces for attention's small tiles.
// Follows Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), as BLIS lays it out:
// B's panel of NR columns stays in L1, A's block in L2, MR × NR sums in registers. Sums over k run in ascending order,
// in chunks that depend on K alone: never on threads, tiles or neighbours.
#pragma once
#include "simd.h"

namespace attune::ATTUNE_ISA {

/// element (i, j) lies at data[i·row + j·column]; one of the strides is 1.
struct Operand {
  const void* data;
  bool bf16;
  i64 row;
  i64 column;
};

/// c(M,N) = beta·c + alpha · a(M,K) · b(K,N) (+ bias(N)); beta 0 never reads c.
void gemm(Context& c, float* out, i64 ldc, Operand a, Operand b, i64 M, i64 N, i64 K, float alpha, float beta, const float* bias);

ATTUNE_INLINE vf load_as(const float* p, i64 n) { return load_some(p, n); }
ATTUNE_INLINE vf load_as(const uint16_t* p, i64 n) { return load_some(p, n); }

/// Packs `width` ≤ R lines of `depth` elements as depth × R, scaled, missing lines zero. Writes up to W − 1 floats past the end.
/// element (line, d) lies at p[line·line_stride + d·depth_stride], one stride is 1.
template <int R, class T>
static inline void pack_panel(float* out, const T* p, i64 line_stride, i64 depth_stride, i64 width, i64 depth, float scale = 1.0f) {
  static_assert(R % W == 0 || R < W, "panels are whole vectors, or one short one");
  if (depth_stride != 1) {  // lines lie side by side
    for (i64 d = 0; d < depth; d++, out += R, p += depth_stride) {
      if (width == R) {
#pragma GCC unroll 8
        for (int r = 0; r < R; r += W) store(out + r, (R - r >= W ? load_as(p + r, W) : load_as(p + r, R - r)) * scale);
      } else {
        for (i64 r = 0; r < R; r += W) {
          const i64 left = width - r;
          store(out + r, left <= 0 ? vf{} : load_as(p + r, left < W ? left : W) * scale);
        }
      }
    }
    return;
  }
  for (i64 d = 0; d < depth; d += W) {
    const i64 count = depth - d < W ? depth - d : W;
    for (i64 r0 = 0; r0 < R; r0 += W) {
      vf block[W];
      if (count == W && width - r0 >= W) {
#pragma GCC unroll 16
        for (int r = 0; r < W; r++) block[r] = load_as(p + (r0 + r) * line_stride + d, W);
      } else {
#pragma GCC unroll 16
        for (int r = 0; r < W; r++) block[r] = r0 + r < width ? load_as(p + (r0 + r) * line_stride + d, count) : vf{};
      }
      transpose(block);
      if (count == W) {
#pragma GCC unroll 16
        for (int i = 0; i < W; i++) store(out + (d + i) * R + r0, block[i] * scale);
      } else {
        for (i64 i = 0; i < count; i++) store(out + (d + i) * R + r0, block[i] * scale);
      }
    }
  }
}

enum class Into { write, add };

/// acc(MR, NV·W) = a · b over `depth`: a(m, k) at a[m·AM + k·AK], b's row k at b + k·NV·W.
template <int MR, int NV, int AM, int AK>
ATTUNE_INLINE void multiply(vf (&acc)[MR][NV], const float* __restrict a, const float* __restrict b, i64 depth) {
#pragma GCC unroll 16
  for (int m = 0; m < MR; m++)
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) acc[m][n] = vf{};
#pragma GCC unroll 4
  for (i64 k = 0; k < depth; k++) {
    vf row[NV];
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) row[n] = load(b + n * W);
#pragma GCC unroll 16
    for (int m = 0; m < MR; m++) {
      const vf x = broadcast(a[m * AM]);
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) acc[m][n] = x * row[n] + acc[m][n];
    }
    a += AK;
    b += NV * W;
  }
}

// ── small tiles, for attention ─────────────────────────────────────────────────────────────────────────────────────────

/// Rows of a tile's panel of A, columns of its panel of B. Tiles are padded to both.
constexpr int tile_mr = W == 16 ? 8 : 4;
constexpr int tile_nv = 2;
constexpr int tile_nr = tile_nv * W;

ATTUNE_INLINE i64 round_up(i64 x, i64 unit) { return (x + unit - 1) / unit * unit; }

/// out(rows, columns) = or += a · b. a(m, k) at a[m·AM + k·AK] where panels of tile_mr rows are `a_panel` apart; b in panels
/// of tile_nr columns, depth × tile_nr each. rows and columns are padded: out has room for whole panels.
template <Into into, int AM, int AK>
static inline void tile_product(float* out, i64 ldc, const float* a, i64 a_panel, const float* b, i64 rows, i64 columns, i64 depth) {
  for (i64 n = 0; n < columns; n += tile_nr, b += depth * tile_nr) {
    const float* panel = a;
    for (i64 m = 0; m < rows; m += tile_mr, panel += a_panel) {
      vf acc[tile_mr][tile_nv];
      multiply<tile_mr, tile_nv, AM, AK>(acc, panel, b, depth);
#pragma GCC unroll 8
      for (int i = 0; i < tile_mr; i++)
#pragma GCC unroll 2
        for (int j = 0; j < tile_nv; j++) {
          float* p = out + (m + i) * ldc + n + j * W;
          store(p, into == Into::add ? load(p) + acc[i][j] : acc[i][j]);
        }
    }
  }
}

}  // namespace attune::ATTUNE_ISA
