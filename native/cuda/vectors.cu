// Plain vectors: one thread an element, and the sum of squares in f64 in a fixed order.
#include "platform.cuh"

DEVICE i64 global_index() { return static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x; }

KERNEL(256) fill32(u32* x, u32 bits, i64 n) {
  const i64 i = global_index();
  if (i < n) x[i] = bits;
}
EXPORT(fill32)

KERNEL(256) fill16(u16* x, u32 bits, i64 n) {
  const i64 i = global_index();
  if (i < n) x[i] = static_cast<u16>(bits);
}
EXPORT(fill16)

KERNEL(256) narrow_all(u16* out, const float* x, i64 n) {
  const i64 i = global_index();
  if (i < n) out[i] = narrow(x[i]);
}
EXPORT(narrow_all)

/// What queue.cpp gathers: row blockIdx.y of the table, some words from one place to another.
struct Move {
  u32* to;
  const u32* from;
  i64 words;
};
KERNEL(256) move_all(const Move* moves) {
  const Move move = moves[blockIdx.y];
  for (i64 i = global_index(); i < move.words; i += static_cast<i64>(gridDim.x) * 256) move.to[i] = move.from[i];
}
EXPORT(move_all)

KERNEL(256) axpy(float* out, const float* x, float alpha, i64 n) {
  const i64 i = global_index();
  if (i < n) out[i] += alpha * x[i];
}
EXPORT(axpy)

KERNEL(256) copy_columns(float* out, i64 out_stride, const float* x, i64 x_stride, i64 rows, int width, int add) {
  const i64 i = global_index();
  if (i >= rows * width) return;
  const i64 row = i / width, column = i % width;
  float* to = out + row * out_stride + column;
  *to = (add ? *to : 0.0f) + x[row * x_stride + column];
}
EXPORT(copy_columns)

// ── sum of squares ───────────────────────────────────────────────────────────────────────────────────────────────────

DEVICE double block_sum(double x) {
  __shared__ double part[256];
  part[threadIdx.x] = x;
  __syncthreads();
  for (int d = 128; d > 0; d >>= 1) {
    if (static_cast<int>(threadIdx.x) < d) part[threadIdx.x] += part[threadIdx.x + d];
    __syncthreads();
  }
  return part[0];
}

/// One partial sum a block, over `each` elements of x.
KERNEL(256) square_sums(double* partial, const float* x, i64 n, i64 each) {
  const i64 from = blockIdx.x * each, to = min(n, from + each);
  double sum = 0;
  for (i64 i = from + threadIdx.x; i < to; i += 256) sum += static_cast<double>(x[i]) * x[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
EXPORT(square_sums)

KERNEL(256) add_square_sums(float* out, const double* partial, int count) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += 256) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *out = static_cast<float>(sum);
}
EXPORT(add_square_sums)

// ── dropout ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// MurmurHash3's 32-bit finaliser.
DEVICE u32 mix(u32 h) {
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

/// salt = mix(seed); kept where the upper 24 bits reach `least` = ⌈p · 2²⁴⌉.
KERNEL(256) dropout(float* out, const float* x, i64 n, u32 salt, u32 least, float grow) {
  const i64 i = global_index();
  if (i < n) out[i] = mix(static_cast<u32>(i) ^ salt) >> 8 >= least ? x[i] * grow : 0.0f;
}
EXPORT(dropout)

// ── optimiser ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// decay = 1 − lr · weightDecay, rate = lr / (1 − β1^step), root = 1 / √(1 − β2^step), all worked out in f64 by the caller.
KERNEL(256) adamw(float* w, const float* grad, float* m, float* v, i64 n, float beta1, float rest1, float beta2, float rest2, float decay, float rate,
                  float root, float eps, float scale) {
  const i64 i = global_index();
  if (i >= n) return;
  const float g = scale * grad[i];
  m[i] = beta1 * m[i] + rest1 * g;
  v[i] = beta2 * v[i] + rest2 * g * g;
  w[i] = decay * w[i] - rate * m[i] / (sqrtf(v[i]) * root + eps);
}
EXPORT(adamw)
