// One vector type for all instruction sets, through the compilers' vector extensions: `vf` holds W floats.
// a * b + c becomes one fused multiply-add where the set has it (contraction is on). Everything here is static and inside
// ATTUNE_ISA's namespace, so that no function compiled for a newer set is ever linked into an older one.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <utility>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "context.h"

#define ATTUNE_INLINE static inline __attribute__((always_inline))

namespace attune::ATTUNE_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint16_t vh __attribute__((vector_size(W * 2)));

ATTUNE_INLINE vf load(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
ATTUNE_INLINE void store(float* p, vf v) { memcpy(p, &v, sizeof v); }

/// The first n (≤ W) floats, zeros behind.
ATTUNE_INLINE vf load_some(const float* p, i64 n) {
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  if (n >= W) return load(p);
  vf v = {};
  for (i64 i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}
ATTUNE_INLINE void store_some(float* p, vf v, i64 n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  if (n >= W) return store(p, v);
  for (i64 i = 0; i < n; i++) p[i] = v[i];
#endif
}

/// bf16 → f32: the bits move up by 16.
ATTUNE_INLINE vf load(const uint16_t* p) {
#if defined(__AVX512F__)
  const vu wide = (vu)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));  // GCC 12 makes four of it
#elif defined(__AVX2__)
  const vu wide = (vu)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  vh h;
  memcpy(&h, p, sizeof h);
  const vu wide = __builtin_convertvector(h, vu);
#endif
  const vu bits = wide << 16;
  vf v;
  memcpy(&v, &bits, sizeof v);
  return v;
}
ATTUNE_INLINE vf load_some(const uint16_t* p, i64 n) {
  if (n >= W) return load(p);
  uint16_t h[W] = {};
  for (i64 i = 0; i < n; i++) h[i] = p[i];
  return load(h);
}

ATTUNE_INLINE vf broadcast(float x) {
#if defined(__AVX512F__)
  return (vf)_mm512_set1_ps(x);
#elif defined(__AVX2__)
  return (vf)_mm256_set1_ps(x);
#else
  return vf{x, x, x, x};
#endif
}
ATTUNE_INLINE vi broadcast_int(int32_t x) { return vi{} + x; }

ATTUNE_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }

/// Sum of the lanes, always as the same tree.
ATTUNE_INLINE float sum(vf v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float a[W];
  memcpy(a, &v, sizeof v);
  for (int half = W / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a[i] += a[i + half];
  return a[0];
#endif
}
ATTUNE_INLINE float max_lane(vf v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float a[W];
  memcpy(a, &v, sizeof v);
  for (int half = W / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) a[i] = a[i] > a[i + half] ? a[i] : a[i + half];
  return a[0];
#endif
}

/// e^x within 2 ulp; below −87.3 exactly 0 (no denormals), above 88.72 infinity, NaN stays.
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, then the degree-6 polynomial of Cephes' expf.
ATTUNE_INLINE vf vexp(vf x) {
  const vf magic = broadcast(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const vf shifted = x * broadcast(1.44269504088896341f) + magic;
  const vf n = shifted - magic;
  vf r = x - n * broadcast(0.693359375f);
  r = r - n * broadcast(-2.12194440e-4f);
  vf p = broadcast(1.9875691500e-4f);
  p = p * r + broadcast(1.3981999507e-3f);
  p = p * r + broadcast(8.3334519073e-3f);
  p = p * r + broadcast(4.1665795894e-2f);
  p = p * r + broadcast(1.6666665459e-1f);
  p = p * r + broadcast(5.0000001201e-1f);
  p = p * (r * r) + r + broadcast(1.0f);
#if defined(__AVX512F__)
  // The same bits as below, in four instructions for eight: attention forward at D gained 3 %.
  const __mmask16 large = _mm512_cmp_ps_mask((__m512)x, (__m512)broadcast(-87.3f), _CMP_NLT_UQ);
  const vf y = (vf)_mm512_maskz_scalef_ps(large, (__m512)p, (__m512)n);
  return (vf)_mm512_mask_mov_ps((__m512)y, _mm512_cmp_ps_mask((__m512)x, (__m512)broadcast(88.7228f), _CMP_GT_OQ), (__m512)broadcast(INFINITY));
#else
  vu bits, exponent;  // unsigned: lanes out of range wrap, and are replaced below
  memcpy(&exponent, &shifted, sizeof exponent);
  memcpy(&bits, &p, sizeof bits);
  bits += exponent << 23;  // the low bits of `shifted` are n
  vf y;
  memcpy(&y, &bits, sizeof y);
  y = x < broadcast(-87.3f) ? broadcast(0.0f) : y;
  y = x > broadcast(88.7228f) ? broadcast(INFINITY) : y;
  return x == x ? y : x;
#endif
}
ATTUNE_INLINE float vexp(float x) { return vexp(broadcast(x))[0]; }

// ── transposition in registers ─────────────────────────────────────────────────────────────────────────────────────────

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define ATTUNE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef ATTUNE_SHUFFLE
#define ATTUNE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, vi{__VA_ARGS__})
#endif

ATTUNE_INLINE vf interleave_low(vf a, vf b) {
#if defined(__AVX512F__)
  return ATTUNE_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return ATTUNE_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return ATTUNE_SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}
ATTUNE_INLINE vf interleave_high(vf a, vf b) {
#if defined(__AVX512F__)
  return ATTUNE_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
  return ATTUNE_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return ATTUNE_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}

/// rows ↔ columns of W × W floats: log₂ W rounds of perfect shuffles.
ATTUNE_INLINE void transpose(vf (&rows)[W]) {
#pragma GCC unroll 4
  for (int round = 1; round < W; round *= 2) {
    vf next[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; i++) {
      next[2 * i] = interleave_low(rows[i], rows[i + W / 2]);
      next[2 * i + 1] = interleave_high(rows[i], rows[i + W / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) rows[i] = next[i];
  }
}

// ── sums of many vectors ───────────────────────────────────────────────────────────────────────────────────────────────

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

// ── work sharing ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// f(task, worker) for every task in [0, tasks). Work not worth a hand-over (a few microseconds) stays with the caller.
template <class F>
static inline void parallel(Context& c, i64 tasks, const F& f, bool worth = true) {
  if (!worth) {
    for (i64 task = 0; task < tasks; task++) f(task, 0);
    return;
  }
  c.pool.run(tasks, [](void* g, i64 task, int worker) { (*static_cast<const F*>(g))(task, worker); }, const_cast<F*>(&f));
}

/// f(begin, end) over [0, n) in pieces of `grain`.
template <class F>
static inline void parallel_range(Context& c, i64 n, i64 grain, const F& f) {
  parallel(c, (n + grain - 1) / grain, [&](i64 task, int) {
    const i64 begin = task * grain;
    f(begin, begin + grain < n ? begin + grain : n);
  });
}

/// Elements an elementwise task takes: enough to hide the hand-over, few enough to share.
constexpr i64 grain = 32768;

/// f(i, count) for i in [0, n) in steps of W; count < W only at the end.
template <class F>
static inline void elementwise(Context& c, i64 n, const F& f) {
  parallel_range(c, n, grain, [&](i64 begin, i64 end) {
    i64 i = begin;
    for (; i + W <= end; i += W) f(i, W);
    if (i < end) f(i, end - i);
  });
}

}  // namespace attune::ATTUNE_ISA
