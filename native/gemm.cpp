// See gemm.h.
#include "gemm.h"

namespace attune::ATTUNE_ISA {

namespace {

// Sums kept in registers: MR × NV vectors. AVX-512 and NEON have 32 registers, the others 16.
#if defined(__AVX512F__)
constexpr int MR = 14, NV = 2;
#elif defined(__AVX2__)
constexpr int MR = 6, NV = 2;
#elif defined(__aarch64__)
constexpr int MR = 8, NV = 3;
#else
constexpr int MR = 4, NV = 2;
#endif
constexpr int NR = NV * W;
constexpr i64 KC = 320;                    // NR columns of KC floats stay in L1
constexpr i64 MC = 168 / MR * MR;          // MC × KC floats stay in L2
constexpr i64 NC = 4096 / NR * NR;         // NC × KC floats stay in L3
constexpr i64 slack = 16;                  // pack_panel writes past a panel's end

void pack(float* out, const Operand& o, bool lines_are_rows, i64 line, i64 width, i64 k, i64 depth, bool is_a) {
  const i64 line_stride = lines_are_rows ? o.row : o.column;
  const i64 depth_stride = lines_are_rows ? o.column : o.row;
  const i64 offset = line * line_stride + k * depth_stride;
  if (is_a) {
    if (o.bf16)
      pack_panel<MR>(out, static_cast<const uint16_t*>(o.data) + offset, line_stride, depth_stride, width, depth);
    else
      pack_panel<MR>(out, static_cast<const float*>(o.data) + offset, line_stride, depth_stride, width, depth);
  } else {
    if (o.bf16)
      pack_panel<NR>(out, static_cast<const uint16_t*>(o.data) + offset, line_stride, depth_stride, width, depth);
    else
      pack_panel<NR>(out, static_cast<const float*>(o.data) + offset, line_stride, depth_stride, width, depth);
  }
}

struct Update {
  float alpha, beta;
  const float* bias;
};

ATTUNE_INLINE vf updated(vf product, const float* old, i64 count, const float* bias, const Update& u) {
  vf y = product * u.alpha;
  if (u.beta != 0.0f) y = load_some(old, count) * u.beta + y;
  if (bias) y = y + load_some(bias, count);
  return y;
}

void micro(float* out, i64 ldc, const float* a, const float* b, i64 depth, i64 rows, i64 columns, Update u) {
  vf acc[MR][NV];
  multiply<MR, NV, 1, MR>(acc, a, b, depth);
  if (rows == MR && columns == NR) {
    if (u.alpha == 1.0f && u.beta == 1.0f && !u.bias) {
#pragma GCC unroll 16
      for (int m = 0; m < MR; m++)
#pragma GCC unroll 4
        for (int n = 0; n < NV; n++) {
          float* p = out + m * ldc + n * W;
          store(p, load(p) + acc[m][n]);
        }
      return;
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) {
        float* p = out + m * ldc + n * W;
        store(p, updated(acc[m][n], p, W, u.bias ? u.bias + n * W : nullptr, u));
      }
    return;
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; m++) {
    if (m >= rows) break;
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) {
      const i64 left = columns - n * W;
      if (left <= 0) break;
      const i64 count = left < W ? left : W;
      float* p = out + m * ldc + n * W;
      store_some(p, updated(acc[m][n], p, count, u.bias ? u.bias + n * W : nullptr, u), count);
    }
  }
}

}  // namespace

void gemm(Context& c, float* out, i64 ldc, Operand a, Operand b, i64 M, i64 N, i64 K, float alpha, float beta, const float* bias) {
  if (M == 0 || N == 0) return;
  const i64 chunks = K > KC ? (K + KC - 1) / KC : 1;
  const i64 depth_max = ((K + chunks - 1) / chunks + W - 1) / W * W;
  const i64 a_panels = (M + MR - 1) / MR;
  const i64 a_size = depth_max * MR + slack, b_size = depth_max * NR + slack;
  const bool worth = M * N * K > 256 * 1024;
  float* pack_a = c.scratch(Slot::pack_a, a_panels * a_size);
  float* pack_b = c.scratch(Slot::pack_b, ((N < NC ? N : NC) + NR - 1) / NR * b_size);
  for (i64 n0 = 0; n0 < N; n0 += NC) {
    const i64 nc = N - n0 < NC ? N - n0 : NC;
    const i64 b_panels = (nc + NR - 1) / NR;
    for (i64 k0 = 0; k0 < K || k0 == 0; k0 += depth_max) {
      const i64 depth = K - k0 < depth_max ? K - k0 : depth_max;
      // Pack, a few panels a task.
      constexpr i64 group = 4;
      const i64 a_groups = (a_panels + group - 1) / group, b_groups = (b_panels + group - 1) / group;
      parallel(c, a_groups + b_groups, [&](i64 task, int) {
        const bool is_a = task < a_groups;
        const i64 first = (is_a ? task : task - a_groups) * group;
        const i64 panels = is_a ? a_panels : b_panels;
        for (i64 p = first; p < first + group && p < panels; p++) {
          if (is_a)
            pack(pack_a + p * a_size, a, true, p * MR, M - p * MR < MR ? M - p * MR : MR, k0, depth, true);
          else
            pack(pack_b + p * b_size, b, false, n0 + p * NR, nc - p * NR < NR ? nc - p * NR : NR, k0, depth, false);
        }
      }, worth);
      // Multiply: a grid of blocks, wide enough for reuse, small enough to share. The cut changes no sum.
      const i64 m_blocks = (M + MC - 1) / MC;
      i64 wide = 8;
      while (wide > 1 && m_blocks * ((b_panels + wide - 1) / wide) < 4 * c.pool.threads()) wide /= 2;
      const i64 n_blocks = (b_panels + wide - 1) / wide;
      const bool last = k0 + depth >= K;
      parallel(c, m_blocks * n_blocks, [&](i64 task, int) {
        const i64 m_begin = task / n_blocks * MC, m_end = m_begin + MC < M ? m_begin + MC : M;
        const i64 p_begin = task % n_blocks * wide, p_end = p_begin + wide < b_panels ? p_begin + wide : b_panels;
        for (i64 p = p_begin; p < p_end; p++) {
          const i64 n = n0 + p * NR;
          const i64 columns = N - n < NR ? N - n : NR;
          const Update u{alpha, k0 == 0 ? beta : 1.0f, last && bias ? bias + n : nullptr};
          for (i64 m = m_begin; m < m_end; m += MR)
            micro(out + m * ldc + n, ldc, pack_a + m / MR * a_size, pack_b + p * b_size, depth, M - m < MR ? M - m : MR, columns, u);
        }
      }, worth);
      if (K == 0) break;
    }
  }
}

}  // namespace attune::ATTUNE_ISA
