// out = x · wᵀ and its three gradients. Many rows go to the packed product; few rows (decoding) read every weight once, unpacked.
#include <utility>

#include "gemm.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr i64 few_rows = 24;  // up to here the packed product would spend its time packing w

/// Lanes of a, then of b: the lower half of each group of 2 · half lanes plus its upper half.
template <int half, std::size_t... lane>
ATTUNE_INLINE vf fold(vf a, vf b, std::index_sequence<lane...>) {
  return ATTUNE_SHUFFLE(a, b, static_cast<int>(lane / half * 2 * half + lane % half)...) +
         ATTUNE_SHUFFLE(a, b, static_cast<int>(lane / half * 2 * half + lane % half + half)...);
}

/// n sums (n a power of two up to W) in the first n lanes, each the tree of `sum`, for about three instructions each instead of twelve.
template <int half, int n>
ATTUNE_INLINE vf sums(const vf (&v)[n]) {
  if constexpr (half == 0) {
    return v[0];
  } else {
    constexpr int pairs = n > 1 ? n / 2 : 1;
    vf next[pairs];
#pragma GCC unroll 16
    for (int i = 0; i < pairs; i++) next[i] = fold<half>(v[2 * i], v[n > 1 ? 2 * i + 1 : 0], std::make_index_sequence<W>());
    return sums<half / 2, pairs>(next);
  }
}

/// out(n.., o..) for R rows of x and P rows of w: each a dot product over I, W sums at a time, the same bits for any R and P.
/// `fetch` asks for the P rows of w behind these, in the order they lie in. Without it each row's end stops the processor's own
/// prefetching: bf16 weights of 576 columns came at 44 % of read bandwidth, and come at 90 %.
template <int R, int P, class T>
ATTUNE_INLINE void dots(float* out, i64 O, const float* x, const T* w, const float* bias, i64 I, float alpha, float beta, bool fetch) {
  constexpr int n = R * P;
  static_assert(n <= W);
  constexpr i64 line = 64 / sizeof(T);
  vf acc[n] = {};
  const auto add = [&](auto get, i64 i) {
    vf weights[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) weights[p] = get(w + p * I + i);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const vf xs = get(x + r * I + i);
#pragma GCC unroll 4
      for (int p = 0; p < P; p++) acc[r * P + p] = xs * weights[p] + acc[r * P + p];
    }
  };
  i64 i = 0;
  for (; i + W <= I; i += W) {
    if (fetch) {
#pragma GCC unroll 4
      for (i64 ahead = 0; ahead < P * W; ahead += line) __builtin_prefetch(w + P * (I + i) + ahead);
    }
    add([](const auto* from) { return load(from); }, i);
  }
  if (i < I) add([&](const auto* from) { return load_some(from, I - i); }, i);

  float y[W], more[n];
  vf result = sums<W / 2>(acc) * alpha;
  const auto gather = [&](const float* from, i64 stride) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) memcpy(more + r * P, from + r * stride, P * sizeof(float));
    return load_some(more, n);
  };
  if (beta != 0.0f) result += gather(out, O) * beta;
  if (bias) result += gather(bias, 0);
  store(y, result);
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) memcpy(out + r * O, y + r * P, P * sizeof(float));
}

constexpr int group = W < 16 ? 2 : 4;  // rows of x and of w that go together: their sums fill a vector, and stay in registers

template <int P, class T>
static inline void dot_rows(float* out, i64 O, const float* x, const T* w, const float* bias, i64 N, i64 I, float alpha, float beta) {
  i64 n = 0;
  for (; n + group <= N; n += group) dots<group, P>(out + n * O, O, x + n * I, w, bias, I, alpha, beta, n == 0);
  for (; n < N; n++) dots<1, P>(out + n * O, O, x + n * I, w, bias, I, alpha, beta, n == 0);
}

template <class T>
static inline void few(Context& c, float* out, const float* x, const T* w, const float* bias, i64 N, i64 I, i64 O, float alpha, float beta) {
  const i64 rows = 32 + (128 * 1024 / (N * I + 1)) / 4 * 4;  // of w a task: enough work to be worth a hand-over
  parallel_range(c, O, rows, [&](i64 begin, i64 end) {
    i64 o = begin;
    for (; o + group <= end; o += group) dot_rows<group>(out + o, O, x, w + o * I, bias ? bias + o : nullptr, N, I, alpha, beta);
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
