// Weights for decoding in blocks of 32 bytes and a float16 scale, as ggml's Q8_0 rounds them; here all bytes come first, then all scales.
#include "platform.cuh"

/// Largest magnitude of a block over 127, and one over that.
struct Scale {
  float d, inverse;
};

DEVICE Scale scale_of(float x) {
  const float d = warp_max(fabsf(x)) / 127.0f;
  return {d, d == 0.0f ? 0.0f : 1.0f / d};
}

/// A warp a block: halves away from zero, the scale in float16.
KERNEL(128) quantize_weight(signed char* bytes, u16* scales, const float* x, i64 blocks) {
  const i64 block = static_cast<i64>(blockIdx.x) * 4 + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (block >= blocks) return;
  const float value = x[block * 32 + lane];
  const Scale scale = scale_of(value);
  bytes[block * 32 + lane] = static_cast<signed char>(roundf(value * scale.inverse));
  if (lane == 0) scales[block] = to_half(scale.d);
}
EXPORT(quantize_weight)

/// The other side of a product: halves to even, the scale in f32.
KERNEL(128) quantize_rows(signed char* bytes, float* scales, const float* x, i64 blocks) {
  const i64 block = static_cast<i64>(blockIdx.x) * 4 + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (block >= blocks) return;
  const float value = x[block * 32 + lane];
  const Scale scale = scale_of(value);
  bytes[block * 32 + lane] = static_cast<signed char>(rintf(value * scale.inverse));
  if (lane == 0) scales[block] = scale.d;
}
EXPORT(quantize_rows)

KERNEL(128) gather_q8_0(float* out, const signed char* bytes, const u16* scales, const int* index, int C, int rows, Fault* fault) {
  const int n = blockIdx.x, row = index[n];
  if (!within(row, rows, fault, FAULT_GATHER, n)) return;
  for (int c = threadIdx.x; c < C; c += 128) {
    const i64 at = static_cast<i64>(row) * C + c;
    out[static_cast<i64>(n) * C + c] = from_half(scales[at / 32]) * static_cast<float>(bytes[at]);
  }
}
EXPORT(gather_q8_0)

/// out(N,O) = beta · out + alpha · x · wᵀ + bias: a warp an output, eight lanes a block of 32, eight rows of x at a time.
KERNEL(128) linear_q8_0(float* out, const int* x, const float* x_scales, const int* w, const u16* w_scales, const float* bias, int N, int I, int O,
                        float alpha, float beta, const int* bounds) {
  const int lane = threadIdx.x % 32, o = blockIdx.x * 4 + threadIdx.x / 32;
  if (o >= O) return;
  const int words = I / 4, low = bounds ? bounds[0] : 0, high = bounds ? bounds[1] : N;  // of a group, or all rows
  for (int from = low; from < high; from += 8) {
    float sums[8] = {};
    for (int i = lane; i < words; i += 32) {
      const int word = w[static_cast<i64>(o) * words + i];
      const float scale = from_half(w_scales[static_cast<i64>(o) * (I / 32) + i / 8]);
      UNROLL
      for (int n = 0; n < 8; n++)
        if (from + n < high) {
          const i64 row = from + n;
          sums[n] += scale * x_scales[row * (I / 32) + i / 8] * static_cast<float>(__dp4a(word, x[row * words + i], 0));
        }
    }
    UNROLL
    for (int n = 0; n < 8; n++)
      if (from + n < high) {
        const float sum = warp_sum(sums[n]);
        const i64 at = static_cast<i64>(from + n) * O + o;
        if (lane == 0) out[at] = (beta == 0.0f ? 0.0f : beta * out[at]) + alpha * sum + (bias ? bias[o] : 0.0f);
      }
  }
}
EXPORT(linear_q8_0)
