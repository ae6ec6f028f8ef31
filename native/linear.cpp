// out = x · wᵀ and its three gradients. Many rows go to the packed product; few rows (decoding) read every weight once, unpacked.
#include "blocks.h"
#include "gemm.h"
#include "low_rank.h"
#include "q8_0.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr i64 ahead_bytes = 8192;  // that one row of x asks for w in advance

/// out(n.., o..) for R rows of x and P rows of w: each a dot product over I, W sums at a time, the same bits for any R and P.
/// Each step asks for `lines` cache lines of `next`, see dot_rows. A single row of x goes over w row after row, one stream at a constant
/// distance: 123 → 102 µs for 3.5 MB of f32, 78 → 53 µs for bf16 (one thread).
template <int R, int P, int lines, class T>
ATTUNE_INLINE void dots(float* out, i64 O, const float* x, const T* w, const float* bias, i64 I, float alpha, float beta, const T* next) {
  constexpr int n = R * P;
  static_assert(n <= W);
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
  if constexpr (R == 1) {
#pragma GCC unroll 4
    for (int p = 0; p < P; p++) {
      const T* row = w + p * I;
      i64 i = 0;
      for (; i + W <= I; i += W) {
        if (lines > 0 && i % (64 / static_cast<i64>(sizeof(T))) == 0) __builtin_prefetch(row + i + ahead_bytes / static_cast<i64>(sizeof(T)));
        acc[p] = load(x + i) * load(row + i) + acc[p];
      }
      if (i < I) acc[p] = load_some(x + i, I - i) * load_some(row + i, I - i) + acc[p];
    }
  } else {
    i64 i = 0;
    for (; i + W <= I; i += W) {
#pragma GCC unroll 4
      for (int l = 0; l < lines; l++, next += 64 / sizeof(T)) __builtin_prefetch(next);
      add([](const auto* from) { return load(from); }, i);
    }
    if (i < I) add([&](const auto* from) { return load_some(from, I - i); }, i);
  }

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

/// All rows of x with P rows of w, a few at a time. Meanwhile the P rows behind them come into the cache, in the order they lie in, and each
/// walk over x asks for its share. Without asking, each row's end stops the processor's own prefetching. Were the first walk to ask for
/// everything, the others would leave memory idle: 8 rows of f32 took 157 µs for 3.5 MB, and take 135 (one thread).
template <int P, class T>
static inline void dot_rows(float* out, i64 O, const float* x, const T* w, const float* bias, i64 N, i64 I, float alpha, float beta) {
  constexpr int step = P * W * static_cast<int>(sizeof(T)) > 64 ? P * W * static_cast<int>(sizeof(T)) / 64 : 1;  // lines of w it reads
  const i64 walks = N / group + N % group;
  const int share = walks == 1 ? step : walks < 4 ? (step + 1) / 2 : (step + 3) / 4;
  const T* next = w + P * I;
  int asked = 0;
  const auto walk = [&]<int R, int lines>(i64 n) {
    dots<R, P, lines>(out + n * O, O, x + n * I, w, bias, I, alpha, beta, next);
    next += lines * (64 / static_cast<i64>(sizeof(T))) * (I / W);
    asked += lines;
  };
  const auto choose = [&]<int R>(i64 n) {  // a loop over a number known only when it runs cost a single row 10 %
    if (asked >= step) return walk.template operator()<R, 0>(n);
    if (share == 1) return walk.template operator()<R, 1>(n);
    if constexpr (step > 1)
      if (share == 2) return walk.template operator()<R, 2>(n);
    if constexpr (step > 2) return walk.template operator()<R, 4>(n);
  };
  i64 n = 0;
  for (; n + group <= N; n += group) choose.template operator()<group>(n);
  for (; n < N; n++) choose.template operator()<1>(n);
}

/// Rows of w a task reads, of N rows of x: a microsecond or two of memory, so that the threads end together. 192 rows of 576 in tasks of 60 were
/// 120 to 72 for two threads.
ATTUNE_INLINE i64 rows_of_task(i64 N, i64 I) { return group + (8 * 1024 / (N * I + 1)) / group * group; }

/// Outputs [begin, end) of every row of x.
template <class T>
static inline void few(const Linear& linear, const float* x, const T* w, i64 N, i64 I, i64 begin, i64 end) {
  const auto& [out, _, __, bias, O, alpha, beta] = linear;
  i64 o = begin;
  for (; o + group <= end; o += group) dot_rows<group>(out + o, O, x, w + o * I, bias ? bias + o : nullptr, N, I, alpha, beta);
  for (; o < end; o++) dot_rows<1>(out + o, O, x, w + o * I, bias ? bias + o : nullptr, N, I, alpha, beta);
}

/// The same with rows of w decoded as they are needed, a group at a time: they stay in the nearest cache until they are multiplied.
static inline void few_of_blocks(const Linear& linear, const float* x, float* decoded, i64 N, i64 I, i64 begin, i64 end) {
  const auto& [out, w, _, bias, O, alpha, beta] = linear;
  with_blocks(w, [&](const auto& blocks) {
    for (i64 o = begin; o < end; o += group) {
      const i64 count = least(group, end - o);
      decode_from(decoded, blocks, o * I, count * I);
      if (count == group) dot_rows<group>(out + o, O, x, decoded, bias ? bias + o : nullptr, N, I, alpha, beta);
      else for (i64 p = 0; p < count; p++) dot_rows<1>(out + o + p, O, x, decoded + p * I, bias ? bias + o + p : nullptr, N, I, alpha, beta);
    }
  });
}

}  // namespace

void linears(Context& c, const Linear* all, int count, const float* x, i64 N, i64 I) {
  struct Part {
    i64 first_task, rows;  // of w a task reads
  } parts[most_linears];
  Stream streams[most_linears];
  i64 tasks = 0;
  bool bytes = false, blocks = false;
  for (int i = 0; i < count; i++) {
    const Linear& linear = all[i];
    const bool in_blocks = linear.w.blocks != Blocks::none;
    const i64 rows = linear.q8_0 ? q8_0_rows_of_task(N, I) : rows_of_task(N, I), own = (linear.O + rows - 1) / rows;
    const i64 row_bytes = linear.q8_0 ? q8_0_row_bytes(I) : in_blocks ? 0 : I * (linear.w.bf16 ? 2 : 4);  // blocks do not lie one behind the other
    parts[i] = {tasks, rows};
    streams[i] = {linear.q8_0 ? linear.q8_0 : linear.w.data, own, rows * row_bytes};
    tasks += own;
    bytes |= linear.q8_0 != nullptr;
    blocks |= in_blocks;
  }
  c.reading(streams, count);
  const Quantised quantised = bytes ? quantise_rows(c, x, N, I) : Quantised{};
  float* decoded = blocks ? c.scratch(Slot::pack_b, c.pool.threads() * group * I) : nullptr;
  parallel(c, tasks, [&](i64 task, int worker) {
    int i = count - 1;
    while (task < parts[i].first_task) i--;
    const Linear& linear = all[i];
    const i64 begin = (task - parts[i].first_task) * parts[i].rows, end = least(linear.O, begin + parts[i].rows);
    if (linear.q8_0) return q8_0_rows(linear, quantised, N, I, begin, end);
    if (linear.w.blocks != Blocks::none) return few_of_blocks(linear, x, decoded + worker * group * I, N, I, begin, end);
    if (linear.w.bf16) return few(linear, x, static_cast<const uint16_t*>(linear.w.data), N, I, begin, end);
    few(linear, x, static_cast<const float*>(linear.w.data), N, I, begin, end);
  });
}

void linear(Context& c, float* out, const float* x, Weight w, const float* bias, i64 N, i64 I, i64 O, float alpha, float beta) {
  gemm(c, out, O, {x, false, I, 1}, operand_of(w, 0, 1, I), N, O, I, alpha, beta, bias);
}

void linear_backward_input(Context& c, float* dx, const float* dout, Weight w, i64 N, i64 I, i64 O, float alpha, float beta) {
  gemm(c, dx, I, {dout, false, O, 1}, operand_of(w, 0, I, 1), N, I, O, alpha, beta, nullptr);
}

void linear_backward_weight(Context& c, float* dw, const float* dout, const float* x, i64 N, i64 I, i64 O, float alpha, float beta) {
  if (N > 0 && is_low_rank(O)) return low_rank_product(c, dw, false, dout, x, N, O, I, alpha, beta);
  if (N > 0 && is_low_rank(I)) return low_rank_product(c, dw, true, x, dout, N, I, O, alpha, beta);
  gemm(c, dw, I, {dout, false, 1, O}, {x, false, I, 1}, O, I, N, alpha, beta, nullptr);
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
