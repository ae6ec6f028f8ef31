// Plain vectors: fill, copy, axpy, sum of squares, dropout, rounding to bf16.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void fill(Context& c, float* x, float value, i64 n) {
  const vf v = broadcast(value);
  elementwise(c, n, [&](i64 i, i64 count) { store_some(x + i, v, count); });
}

void copy(Context& c, float* out, const float* x, i64 n) {
  if (n < grain || (out < x + n && x < out + n)) {
    memmove(out, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  parallel_range(c, n, grain, [&](i64 begin, i64 end) { memcpy(out + begin, x + begin, static_cast<size_t>(end - begin) * sizeof(float)); });
}

void axpy(Context& c, float* out, const float* x, float alpha, i64 n) {
  const vf a = broadcast(alpha);
  elementwise(c, n, [&](i64 i, i64 count) { store_some(out + i, a * load_some(x + i, count) + load_some(out + i, count), count); });
}

/// Chunks of `grain`, each with 16 running sums, then the chunks in order: the order depends on n alone.
void sum_squares(Context& c, float* out, const float* x, i64 n) {
  constexpr int lanes = 16;
  const i64 chunks = (n + grain - 1) / grain;
  double* partial = reinterpret_cast<double*>(c.scratch(Slot::rows, 2 * chunks + 2));
  parallel_range(c, n, grain, [&](i64 begin, i64 end) {
    double sums[lanes] = {};
    i64 i = begin;
    for (; i + lanes <= end; i += lanes)
      for (int j = 0; j < lanes; j++) {
        const double value = x[i + j];
        sums[j] += value * value;
      }
    double total = 0;
    for (int j = 0; j < lanes; j++) total += sums[j];
    for (; i < end; i++) total += static_cast<double>(x[i]) * x[i];
    partial[begin / grain] = total;
  });
  double total = 0;
  for (i64 i = 0; i < chunks; i++) total += partial[i];
  *out = static_cast<float>(total);
}

namespace {

/// MurmurHash3's 32-bit finaliser, by Austin Appleby (public domain).
template <class U>
ATTUNE_INLINE U mix(U h) {
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  return h ^ (h >> 16);
}

}  // namespace

void dropout(Context& c, float* out, const float* x, i64 n, double p, uint32_t seed) {
  const uint32_t key = mix(seed);
  const int32_t threshold = static_cast<int32_t>(ceil(p * 16777216.0));  // u · 2⁻²⁴ ≥ p  ⇔  u ≥ ⌈p · 2²⁴⌉
  const vf keep = broadcast(static_cast<float>(1.0 - p));
  vu lanes;
  for (int j = 0; j < W; j++) lanes[j] = static_cast<uint32_t>(j);
  elementwise(c, n, [&](i64 i, i64 count) {
    const vu u = mix((lanes + static_cast<uint32_t>(i)) ^ key) >> 8;
    const vf scaled = load_some(x + i, count) / keep;
    store_some(out + i, (vi)u >= threshold ? scaled : vf{}, count);
  });
}

/// To nearest, ties to even; a NaN stays one.
void narrow_bf16(Context& c, uint16_t* out, const float* x, i64 n) {
  parallel_range(c, n, grain, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; i++) {
      uint32_t bits;
      memcpy(&bits, x + i, sizeof bits);
      const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
      out[i] = static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    }
  });
}

}  // namespace attune::ATTUNE_ISA
