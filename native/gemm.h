// The packed, register-blocked matrix product every linear map stands on, and its pieces for attention's small tiles.
// Follows Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), as BLIS lays it out:
// B's packed block of columns stays in L2, MR rows of A in L1, MR × NR sums in registers. Sums over k run in ascending order,
// in chunks that depend on K alone: never on threads, tiles or neighbours.
#pragma once
#include "simd.h"

namespace attune::ATTUNE_ISA {

/// element (i, j) lies at data[i·row + j·column]; one of the strides is 1. B may be in blocks: it is then the numbers of `blocks` from `first` on.
struct Operand {
  const void* data;
  bool bf16;
  i64 row;
  i64 column;
  Weight blocks = {};
  i64 first = 0;
};

/// A matrix as stored, from its number `first` on.
ATTUNE_INLINE Operand operand_of(const Weight& w, i64 first, i64 row, i64 column) {
  if (w.blocks != Blocks::none) return {nullptr, false, row, column, w, first};
  if (w.bf16) return {static_cast<const uint16_t*>(w.data) + first, true, row, column};
  return {static_cast<const float*>(w.data) + first, false, row, column};
}

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

ATTUNE_INLINE constexpr i64 least(i64 x, i64 y) { return x < y ? x : y; }

enum class Into { write, add };

// ── small tiles, for attention ─────────────────────────────────────────────────────────────────────────────────────────

/// Rows of a tile's panel of A, columns of its panel of B. Tiles are padded to both.
constexpr int tile_mr = W == 16 ? 8 : 4;
constexpr int tile_nv = 2;
constexpr int tile_nr = tile_nv * W;

ATTUNE_INLINE i64 round_up(i64 x, i64 unit) { return (x + unit - 1) / unit * unit; }

}  // namespace attune::ATTUNE_ISA
