// Frozen matrices in blocks of numbers that share a scale: how they lie, and how they are read. Nothing multiplies blocks here: a product decodes
// the numbers it is about to use into its packed panel, so that its bits are those of the decoded matrix in f32. Writing them is the engine's
// (src/engine/formats/weight-blocks.ts), which also holds their meaning. Reads begin and end at whole vectors of a block.
#pragma once
#include "simd.h"

namespace attune::ATTUNE_ISA {

/// float16 → float32.
ATTUNE_INLINE float half_at(const uint8_t* p) {
  uint16_t h;
  memcpy(&h, p, sizeof h);
  const uint32_t magnitude = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
  const bool finite = (h & 0x7c00u) != 0x7c00u;
  const uint32_t bits = finite ? magnitude : magnitude | 0x7f800000u;
  float y;
  memcpy(&y, &bits, sizeof y);
  if (finite) y *= 0x1p112f;  // in an f32's place its bits are 2⁻¹¹² of it, a denormal's too
  return sign ? -y : y;
}

/// W bytes, signed or not, as floats.
ATTUNE_INLINE vf widen(const int8_t* p) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  vf v;
  for (int i = 0; i < W; i++) v[i] = p[i];
  return v;
#endif
}
ATTUNE_INLINE vi widen_int(const uint8_t* p) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  vi v;
  for (int i = 0; i < W; i++) v[i] = p[i];
  return v;
#endif
}
ATTUNE_INLINE vf as_floats(vi v) { return __builtin_convertvector(v, vf); }

/// The 16 numbers of NormalFloat (Dettmers et al. 2023, "QLoRA", appendix E).
alignas(64) constexpr float nf4_numbers[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

/// nf4_numbers[i] of each lane.
ATTUNE_INLINE vf nf4_of(vi i) {
#if defined(__AVX512F__)
  return (vf)_mm512_permutexvar_ps((__m512i)i, _mm512_load_ps(nf4_numbers));
#elif defined(__AVX2__)
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_numbers), (__m256i)i);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_numbers + 8), (__m256i)i);
  return (vf)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32((__m256i)i, 28)));
#else
  vf v;
  for (int lane = 0; lane < W; lane++) v[lane] = nf4_numbers[i[lane]];
  return v;
#endif
}

/// ggml's Q8_0: a float16 scale, 32 signed bytes.
struct Int8Blocks {
  static constexpr i64 numbers = 32;
  const uint8_t* data;
  explicit Int8Blocks(const Weight& w) : data(static_cast<const uint8_t*>(w.data)) {}
  float scale_of(i64 block) const { return half_at(data + block * 34); }
  vf at(i64 block, i64 i) const { return widen(reinterpret_cast<const int8_t*>(data + block * 34 + 2 + i)); }
};

/// ggml's Q4_0: a float16 scale, 16 bytes: the first half of the block in the low nibbles, the second in the high; 8 is 0.
struct Q40Blocks {
  static constexpr i64 numbers = 32;
  const uint8_t* data;
  explicit Q40Blocks(const Weight& w) : data(static_cast<const uint8_t*>(w.data)) {}
  float scale_of(i64 block) const { return half_at(data + block * 18); }
  vf at(i64 block, i64 i) const {
    const vi bytes = widen_int(data + block * 18 + 2 + i % 16);
    return as_floats((i < 16 ? bytes & 15 : bytes >> 4) - 8);
  }
};

/// NF4 with its scales quantised, in the order of parts: mean of the scales; 256 numbers a scale's byte may mean; of 256 blocks each, the scale
/// of their scales; the bytes of all scales; the numbers, two a byte, the first in the high nibble.
struct Nf4Blocks {
  static constexpr i64 numbers = 64;
  const float* head;
  const float* outer;
  const uint8_t* scales;
  const uint8_t* nibbles;
  explicit Nf4Blocks(const Weight& w) : head(static_cast<const float*>(w.data)), outer(head + 257) {
    const i64 blocks = w.length / numbers;
    scales = reinterpret_cast<const uint8_t*>(outer + (blocks + 255) / 256);
    nibbles = scales + blocks;
  }
  /// Rounded as a product and then as a sum, as bitsandbytes does it: kept apart, or they would be fused.
  float scale_of(i64 block) const {
    float scale = head[1 + scales[block]] * outer[block / 256];
    asm("" : "+m"(scale));
    return scale + head[0];
  }
  vf at(i64 block, i64 i) const {
    const uint8_t* from = nibbles + block * 32 + i / 2;
#if defined(__AVX512F__) || defined(__AVX2__)
    const __m128i pairs = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), mask = _mm_set1_epi8(15);
    const __m128i each = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(pairs, 4), mask), _mm_and_si128(pairs, mask));
#if defined(__AVX512F__)
    return nf4_of((vi)_mm512_cvtepu8_epi32(each));
#else
    return nf4_of((vi)_mm256_cvtepu8_epi32(each));
#endif
#else
    vi each;
    for (int lane = 0; lane < W; lane++) each[lane] = lane % 2 ? from[lane / 2] & 15 : from[lane / 2] >> 4;
    return nf4_of(each);
#endif
  }
};

template <class B>
ATTUNE_INLINE void decode_from(float* out, const B& blocks, i64 from, i64 count) {
  for (i64 b = from / B::numbers, i = from % B::numbers; count > 0; b++, i = 0) {
    const vf scale = broadcast(blocks.scale_of(b));
    for (; i < B::numbers && count > 0; i += W, count -= W, out += W) store(out, blocks.at(b, i) * scale);
  }
}

/// use(blocks) with what a matrix in blocks is.
template <class F>
ATTUNE_INLINE void with_blocks(const Weight& w, const F& use) {
  if (w.blocks == Blocks::int8) return use(Int8Blocks(w));
  if (w.blocks == Blocks::q4_0) return use(Q40Blocks(w));
  use(Nf4Blocks(w));
}

}  // namespace attune::ATTUNE_ISA
