// Products of matrices on the tensor cores, for the three a linear layer needs: x · wᵀ, dout · w and doutᵀ · x. A block makes a tile of the result in steps
// of 32 along the depth; numbers are cut into pieces (platform.cuh) on their way into block memory, the next step's are fetched meanwhile. A deep
// product of few tiles is cut in parts along the depth, which reduce() adds in order: no atomics, the same bits in every run.
#include "blocks.cuh"

struct Product {
  float* out;  // (M, N), or the parts of it: (parts, M, N)
  const float* a;
  const void* b;
  const float* bias;
  int M, N, K;
  int depth;  // of a part, a multiple of 32
  float alpha, beta;
  int whole_a, whole_b;  // rows lie where four numbers can be read at once
  int parts;
  const int* bounds;  // null, or the first row of a group and the one after its last: of M, or of K in doutᵀ · x
};

DEVICE void finish(const Product& p, i64 at, int column, float sum) {
  const float old = p.beta == 0.0f ? 0.0f : p.beta * p.out[at];
  p.out[at] = old + p.alpha * sum + (p.bias ? p.bias[column] : 0.0f);
}

/// a is (M, K), or (K, M) where turned_a; b is (N, K), or (K, N) where turned_b. BM × BN tiles, by warps of WM × WN.
template <int BM, int BN, int WM, int WN, int PA, int PB, bool turned_a, bool turned_b, class B>
DEVICE void gemm(const Product& p) {
  constexpr int step = 32, threads = BM / WM * (BN / WN) * 32;
  constexpr int wide_a = turned_a ? BM : step, high_a = turned_a ? step : BM, pitch_a = wide_a + 8, plane_a = high_a * pitch_a;
  constexpr int wide_b = turned_b ? BN : step, high_b = turned_b ? step : BN, pitch_b = wide_b + 8, plane_b = high_b * pitch_b;
  constexpr int count_a = high_a * wide_a / 4 / threads, count_b = high_b * wide_b / 4 / threads;
  BLOCK_MEMORY(u16, tile_a);
  u16* tile_b = tile_a + PA * plane_a;
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const int low = p.bounds ? p.bounds[0] : 0, high = p.bounds ? p.bounds[1] : turned_a ? p.K : p.M;
  const int m0 = (turned_a ? 0 : low) + blockIdx.y * BM, n0 = blockIdx.x * BN, wm = warp / (BN / WN) * WM, wn = warp % (BN / WN) * WN;
  const int rows_a = turned_a ? p.M : high;
  const int from = (turned_a ? low : 0) + blockIdx.z * p.depth, to = min(turned_a ? high : p.K, from + p.depth);
  if (m0 >= rows_a) return;
  const B b(p.b, static_cast<i64>(p.N) * p.K);

  float4 next_a[count_a];
  typename B::Four next_b[count_b];
  const auto fetch = [&](int k) {
    UNROLL
    for (int i = 0; i < count_a; i++) {
      const int at = (i * threads + thread) * 4, y = (turned_a ? k : m0) + at / wide_a, x = (turned_a ? m0 : k) + at % wide_a;
      const int rows = turned_a ? to : rows_a, columns = turned_a ? p.M : to, row = turned_a ? p.M : p.K;
      next_a[i] = load4(p.a + static_cast<i64>(y) * row + x, y < rows ? columns - x : 0, p.whole_a);
    }
    UNROLL
    for (int i = 0; i < count_b; i++) {
      const int at = (i * threads + thread) * 4, y = (turned_b ? k : n0) + at / wide_b, x = (turned_b ? n0 : k) + at % wide_b;
      const int rows = turned_b ? to : p.N, columns = turned_b ? p.N : to, row = turned_b ? p.N : p.K;
      next_b[i] = b.fetch(static_cast<i64>(y) * row + x, y < rows ? columns - x : 0, p.whole_b);
    }
  };

  float sums[WM / 16][WN / 8][4] = {};
  fetch(from);
  for (int k = from; k < to; k += step) {
    UNROLL
    for (int i = 0; i < count_a; i++) {
      const int at = (i * threads + thread) * 4;
      store4<PA>(tile_a + at / wide_a * pitch_a + at % wide_a, plane_a, next_a[i]);
    }
    UNROLL
    for (int i = 0; i < count_b; i++) {
      const int at = (i * threads + thread) * 4;
      store4<PB>(tile_b + at / wide_b * pitch_b + at % wide_b, plane_b, b.decode(next_b[i]));
    }
    __syncthreads();
    if (k + step < to) fetch(k + step);
    UNROLL
    for (int d = 0; d < step; d += 16) {
      u32 right[WN / 16][PB][4];
      UNROLL
      for (int j = 0; j < WN / 16; j++) {
        UNROLL
        for (int q = 0; q < PB; q++) load_right<turned_b>(right[j][q], tile_b + q * plane_b, pitch_b, wn + j * 16, d, lane);
      }
      UNROLL
      for (int i = 0; i < WM / 16; i++) {
        u32 left[PA][4];
        UNROLL
        for (int q = 0; q < PA; q++) load_left<turned_a>(left[q], tile_a + q * plane_a, pitch_a, wm + i * 16, d, lane);
        UNROLL
        for (int j = 0; j < WN / 8; j++) multiply<PA, PB>(sums[i][j], left, right[j / 2], j % 2);
      }
    }
    __syncthreads();
  }

  UNROLL
  for (int i = 0; i < WM / 16; i++) {
    UNROLL
    for (int j = 0; j < WN / 8; j++) {
      UNROLL
      for (int e = 0; e < 4; e++) {
        const int m = m0 + wm + i * 16 + lane / 4 + e / 2 * 8, n = n0 + wn + j * 8 + lane % 4 * 2 + e % 2;
        if (m >= rows_a || n >= p.N) continue;
        if (p.parts > 1)
          p.out[(static_cast<i64>(blockIdx.z) * p.M + m) * p.N + n] = sums[i][j][e];
        else
          finish(p, static_cast<i64>(m) * p.N + n, n, sums[i][j][e]);
      }
    }
  }
}

// Arguments one by one, for a launch takes them by address.
#define GEMM(name, BM, BN, WM, WN, PA, PB, turned_a, turned_b, B)                                                                                        \
  KERNEL(BM / WM * (BN / WN) * 32)                                                                                                                      \
  name(float* out, const float* a, const void* b, const float* bias, int M, int N, int K, int depth, float alpha, float beta, int whole_a, int whole_b, \
       int parts, const int* bounds) {                                                                                                                  \
    gemm<BM, BN, WM, WN, PA, PB, turned_a, turned_b, B>(Product{out, a, b, bias, M, N, K, depth, alpha, beta, whole_a, whole_b, parts, bounds});         \
  }                                                                                                                                                     \
  EXPORT(name)

// exact: f32 by pieces; a bf16 weight is one piece as it is
GEMM(forward_exact, 64, 64, 32, 32, 3, 3, false, false, Dense<float>)
GEMM(forward_exact_bf16, 64, 64, 32, 32, 3, 1, false, false, Dense<u16>)
GEMM(input_exact, 64, 64, 32, 32, 3, 3, false, true, Dense<float>)
GEMM(input_exact_bf16, 64, 64, 32, 32, 3, 1, false, true, Dense<u16>)
GEMM(weight_exact, 64, 64, 32, 32, 3, 3, true, true, Dense<float>)
// rounded: every number to bf16 as it is multiplied
GEMM(forward_rounded, 64, 64, 32, 32, 1, 1, false, false, Dense<float>)
GEMM(forward_rounded_bf16, 64, 64, 32, 32, 1, 1, false, false, Dense<u16>)
GEMM(input_rounded, 64, 64, 32, 32, 1, 1, false, true, Dense<float>)
GEMM(input_rounded_bf16, 64, 64, 32, 32, 1, 1, false, true, Dense<u16>)
GEMM(weight_rounded, 64, 64, 32, 32, 1, 1, true, true, Dense<float>)
GEMM(forward_rounded_large, 128, 128, 64, 32, 1, 1, false, false, Dense<float>)
GEMM(forward_rounded_bf16_large, 128, 128, 64, 32, 1, 1, false, false, Dense<u16>)
GEMM(input_rounded_large, 128, 128, 64, 32, 1, 1, false, true, Dense<float>)
GEMM(input_rounded_bf16_large, 128, 128, 64, 32, 1, 1, false, true, Dense<u16>)
GEMM(weight_rounded_large, 128, 128, 64, 32, 1, 1, true, true, Dense<float>)
// a frozen weight in blocks, decoded on its way into block memory
#define GEMM_OF_BLOCKS(storage, B)                                                     \
  GEMM(forward_exact_##storage, 64, 64, 32, 32, 3, 3, false, false, B)                 \
  GEMM(input_exact_##storage, 64, 64, 32, 32, 3, 3, false, true, B)                    \
  GEMM(forward_rounded_##storage, 64, 64, 32, 32, 1, 1, false, false, B)               \
  GEMM(input_rounded_##storage, 64, 64, 32, 32, 1, 1, false, true, B)                  \
  GEMM(forward_rounded_##storage##_large, 128, 128, 64, 32, 1, 1, false, false, B)     \
  GEMM(input_rounded_##storage##_large, 128, 128, 64, 32, 1, 1, false, true, B)
GEMM_OF_BLOCKS(int8, Int8)
GEMM_OF_BLOCKS(q4_0, Q4_0)
GEMM_OF_BLOCKS(nf4, Nf4)

/// out(M,N) = beta · out + alpha · Σ of the parts + bias.
KERNEL(256) reduce_parts(float* out, const float* part, const float* bias, i64 n, int N, int parts, float alpha, float beta) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= n) return;
  float sum = 0;
  for (int part_of = 0; part_of < parts; part_of++) sum += part[part_of * n + i];
  Product p{};
  p.out = out, p.bias = bias, p.alpha = alpha, p.beta = beta;
  finish(p, i, static_cast<int>(i % N), sum);
}
EXPORT(reduce_parts)

// ── few rows: decoding ───────────────────────────────────────────────────────────────────────────────────────────────

/// out(M,O) of at most eight rows: a warp reads one row of w, once, and multiplies in f32, whatever the precision: memory is what it waits for.
template <class W>
DEVICE void few_rows(const Product& p) {
  const int lane = threadIdx.x % 32, o = blockIdx.x * 4 + threadIdx.x / 32;
  if (o >= p.N) return;
  const int low = p.bounds ? p.bounds[0] : 0, high = p.bounds ? p.bounds[1] : p.M;
  const W w(p.b, static_cast<i64>(p.N) * p.K);
  float sums[8] = {};
  for (int k = lane * 4; k < p.K; k += 128) {
    const float4 b = w.decode(w.fetch(static_cast<i64>(o) * p.K + k, p.K - k, p.whole_b));
    UNROLL
    for (int m = 0; m < 8; m++)
      if (m >= low && m < high) {
        const float4 a = load4(p.a + static_cast<i64>(m) * p.K + k, p.K - k, p.whole_a);
        sums[m] += a.x * b.x + a.y * b.y + (a.z * b.z + a.w * b.w);
      }
  }
  UNROLL
  for (int m = 0; m < 8; m++)
    if (m >= low && m < high) {
      const float sum = warp_sum(sums[m]);
      if (lane == 0) finish(p, static_cast<i64>(m) * p.N + o, o, sum);
    }
}

#define FEW_ROWS(name, W)                                                                                                                           \
  KERNEL(128)                                                                                                                                      \
  name(float* out, const float* a, const void* b, const float* bias, int M, int N, int K, float alpha, float beta, int whole_a, int whole_b,        \
       const int* bounds) {                                                                                                                        \
    few_rows<W>(Product{out, a, b, bias, M, N, K, K, alpha, beta, whole_a, whole_b, 1, bounds});                                                    \
  }                                                                                                                                                \
  EXPORT(name)
FEW_ROWS(few_rows_f32, Dense<float>)
FEW_ROWS(few_rows_bf16, Dense<u16>)
FEW_ROWS(few_rows_int8, Int8)
FEW_ROWS(few_rows_q4_0, Q4_0)
FEW_ROWS(few_rows_nf4, Nf4)
