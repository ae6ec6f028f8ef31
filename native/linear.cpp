// out = x · wᵀ and its three gradients. Many rows go to the packed product; few rows (decoding) read every weight once, unpacked.
#include "gemm.h"
#include "low_rank.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr i64 few_rows = 24;  // up to here the packed product would spend its time packing w

/// out(n.., o..) for R rows of x and P rows of w: each a dot product over I, W sums at a time.
template <int R, int P, class T>
ATTUNE_INLINE void dots(float* out, i64 O, const float* x, const T* w, const float* bias, i64 I, float alpha, float beta) {
  vf acc[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) acc[r][p] = vf{};
  i64 i = 0;
  for (; i + W <= I; i += W) {
    vf weights[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) weights[p] = load(w + p * I + i);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const vf xs = load(x + r * I + i);
#pragma GCC unroll 4
      for (int p = 0; p < P; p++) acc[r][p] = xs * weights[p] + acc[r][p];
    }
  }
  if (i < I) {
    for (int p = 0; p < P; p++) {
      const vf weights = load_some(w + p * I + i, I - i);
      for (int r = 0; r < R; r++) acc[r][p] = load_some(x + r * I + i, I - i) * weights + acc[r][p];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) {
      float y = alpha * sum(acc[r][p]);
      if (beta != 0.0f) y += beta * out[r * O + p];
      out[r * O + p] = bias ? y + bias[p] : y;
    }
}

template <int P, class T>
static inline void dot_rows(float* out, i64 O, const float* x, const T* w, const float* bias, i64 N, i64 I, float alpha, float beta) {
  i64 n = 0;
  for (; n + 4 <= N; n += 4) dots<4, P>(out + n * O, O, x + n * I, w, bias, I, alpha, beta);
  for (; n < N; n++) dots<1, P>(out + n * O, O, x + n * I, w, bias, I, alpha, beta);
}

template <class T>
static inline void few(Context& c, float* out, const float* x, const T* w, const float* bias, i64 N, i64 I, i64 O, float alpha, float beta) {
  const i64 rows = 32 + (128 * 1024 / (N * I + 1)) / 4 * 4;  // of w a task: enough work to be worth a hand-over
  parallel_range(c, O, rows, [&](i64 begin, i64 end) {
    i64 o = begin;
    for (; o + 4 <= end; o += 4) dot_rows<4>(out + o, O, x, w + o * I, bias ? bias + o : nullptr, N, I, alpha, beta);
    for (; o < end; o++) dot_rows<1>(out + o, O, x, w + o * I, bias ? bias + o : nullptr, N, I, alpha, beta);
  });
}

}  // namespace

void linear(Context& c, float* out, const float* x, Weight w, const float* bias, i64 N, i64 I, i64 O, float alpha, float beta) {
  if (N <= few_rows) {
    if (w.bf16) return few(c, out, x, static_cast<const uint16_t*>(w.data), bias, N, I, O, alpha, beta);
    return few(c, out, x, static_cast<const float*>(w.data), bias, N, I, O, alpha, beta);
  }
  gemm(c, out, O, {x, false, I, 1}, {w.data, w.bf16, 1, I}, N, O, I, alpha, beta, bias);
}

void linear_backward_input(Context& c, float* dx, const float* dout, Weight w, i64 N, i64 I, i64 O, float alpha, float beta) {
  gemm(c, dx, I, {dout, false, O, 1}, {w.data, w.bf16, I, 1}, N, I, O, alpha, beta, nullptr);
}

void linear_backward_weight(Context& c, float* dw, const float* dout, const float* x, i64 N, i64 I, i64 O, float alpha) {
  if (is_low_rank(O)) return low_rank_product(c, dw, false, dout, x, N, O, I, alpha);
  if (is_low_rank(I)) return low_rank_product(c, dw, true, x, dout, N, I, O, alpha);
  gemm(c, dw, I, {dout, false, 1, O}, {x, false, I, 1}, O, I, N, alpha, 1.0f, nullptr);
}

void linear_backward_bias(Context& c, float* dbias, const float* dout, i64 N, i64 O) {
  parallel_range(c, O, 4 * W, [&](i64 begin, i64 end) {
    for (i64 o = begin; o < end; o += W) {
      const i64 count = end - o < W ? end - o : W;
      vf total = {};
      for (i64 n = 0; n < N; n++) total += load_some(dout + n * O + o, count);
      store_some(dbias + o, load_some(dbias + o, count) + total, count);
    }
  });
}

}  // namespace attune::ATTUNE_ISA
