// ggml's Q8_0 as weights: blocks of 32 signed bytes of a row with one float16 scale, 34 bytes a block. Products with them quantise
// the other side the same way (its scale stays f32), multiply bytes exactly in int32, and scale once a block.
// A weight (O,I) lies in panels of 16 rows (the last may be narrower), and a panel block after block: 16 scales, then eight times
// four bytes of each row, kept as q + 128. So a vector's lanes are 16 outputs, no sum crosses lanes, and memory is read as one stream.
// Per block and output a product is d · e · (Σ (q + 128)·p − 128·Σ p): the unsigned form is what VNNI multiplies.
#include "q8_0.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr i64 block = 32;                // numbers of a row that share a scale
constexpr i64 lanes = 16;                // rows of a panel
constexpr i64 row_bytes = 2 + block;     // of a block, a row
constexpr i64 block_bytes = lanes * row_bytes;
constexpr int vectors = lanes / W;
constexpr i64 ahead_bytes = 8192;        // asked for in advance: 27 → 24 µs for 940 KB, one thread
/// Rows of x a walk over a panel serves: their sums stay in registers.
constexpr int most_rows = W == 16 ? 8 : 2;

typedef int8_t vb __attribute__((vector_size(W)));
typedef int16_t vs __attribute__((vector_size(W * 4)));
typedef uint16_t vus __attribute__((vector_size(W * 4)));

ATTUNE_INLINE i64 width_of(i64 panel, i64 O) { return O - panel * lanes < lanes ? O - panel * lanes : lanes; }

// ── quantising ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// d ≥ 0 → float16, to nearest, ties to even.
uint16_t narrow_scale(float d) {
  if (d < 0x1p-14f) return static_cast<uint16_t>(lrintf(d * 0x1p24f));
  if (d >= 65520.0f) return 0x7c00;
  uint32_t bits;
  memcpy(&bits, &d, sizeof bits);
  return static_cast<uint16_t>((bits - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13);
}

/// 16 or fewer float16 that are not negative. Moved into an f32's place they are 2⁻¹¹² of themselves, denormal ones too.
ATTUNE_INLINE vf load_scales(const uint8_t* p) {
  uint16_t h[W];
  memcpy(h, p, sizeof h);
  const vf high = load(h);
  vu bits;
  memcpy(&bits, &high, sizeof bits);
  bits >>= 3;
  vf v;
  memcpy(&v, &bits, sizeof v);
  return v * 0x1p112f;
}

ATTUNE_INLINE vf magnitude(vf x) { return x < 0 ? -x : x; }

ATTUNE_INLINE float largest(const float* x) {
  vf max = {};
#pragma GCC unroll 8
  for (int i = 0; i < block; i += W) max = vmax(magnitude(load(x + i)), max);
  return max_lane(max);
}

/// To the nearest integer, ties to even.
ATTUNE_INLINE vi nearest(vf x) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
  return (vi)_mm256_cvtps_epi32((__m256)x);
#else
  vi y;
  for (int i = 0; i < W; i++) y[i] = static_cast<int32_t>(lrintf(x[i]));
  return y;
#endif
}

}  // namespace

Quantised quantise_rows(Context& c, const float* x, i64 N, i64 I) {
  const i64 blocks = N * I / block;
  float* scratch = c.scratch(Slot::pack_a, blocks * (block / 4 + 2));
  const Quantised out{reinterpret_cast<int8_t*>(scratch + 2 * blocks), scratch, reinterpret_cast<int32_t*>(scratch + blocks)};
  parallel_range(c, blocks, 4096, [&](i64 begin, i64 end) {
    for (i64 b = begin; b < end; b++) {
      const float* from = x + b * block;
      const float d = largest(from) / 127.0f;
      const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
      out.scales[b] = d;
      vi total = {};
#pragma GCC unroll 8
      for (int i = 0; i < block; i += W) {
        const vi q = nearest(load(from + i) * inverse);
        total += q;
        const vb bytes = __builtin_convertvector(q, vb);
        memcpy(out.bytes + b * block + i, &bytes, sizeof bytes);
      }
      out.shifts[b] = -128 * static_cast<int32_t>(sum(__builtin_convertvector(total, vf)));  // exact: small integers
    }
  });
  return out;
}

// ── products ───────────────────────────────────────────────────────────────────────────────────────────────────────────

namespace {

/// Products of the 16-bit halves of each lane, summed in the lane.
ATTUNE_INLINE vi pair_products(vs a, vs b) {
#if defined(__AVX512BW__)
  return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return (((vi)a << 16) >> 16) * (((vi)b << 16) >> 16) + ((vi)a >> 16) * ((vi)b >> 16);
#endif
}

/// sum += four unsigned bytes of each lane times the four signed bytes at x.
template <bool vnni>
ATTUNE_INLINE void add_four(vi& sum, const uint8_t* w, const int8_t* x) {
  vi bytes;
  memcpy(&bytes, w, sizeof bytes);
#if defined(__AVX512F__)
  if constexpr (vnni) {
    // As assembler, since the intrinsic would want all callers compiled for VNNI. 64 multiply-adds in one instruction.
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(bytes), "m"(*reinterpret_cast<const int8_t(*)[4]>(x)));
    return;
  }
#endif
  int32_t four;
  memcpy(&four, x, sizeof four);
  const vs both = (vs)broadcast_int(four);
  sum += pair_products((vs)bytes & 0xff, both << 8 >> 8) + pair_products((vs)((vus)bytes >> 8), both >> 8);
}

/// A narrow panel's block, as wide as the others.
const uint8_t* widened(uint8_t* out, const uint8_t* from, i64 width) {
  memset(out, 0, block_bytes);
  memcpy(out, from, static_cast<size_t>(width * 2));
  for (i64 q = 0; q < block / 4; q++) memcpy(out + 2 * lanes + q * 4 * lanes, from + 2 * width + q * 4 * width, static_cast<size_t>(width * 4));
  return out;
}

/// out(R, width) at row n of x.
template <int R, bool vnni>
ATTUNE_INLINE void dots(float* out, i64 O, const Quantised& x, i64 n, const uint8_t* panel, i64 width, const float* bias, i64 blocks,
                        float alpha, float beta) {
  vf total[R][vectors] = {};
  uint8_t wide[block_bytes];
  for (i64 b = 0; b < blocks; b++, panel += width * row_bytes) {
    const uint8_t* w = width == lanes ? panel : widened(wide, panel, width);
#pragma GCC unroll 9
    for (i64 line = 0; line < block_bytes; line += 64) __builtin_prefetch(panel + ahead_bytes + line);
    vf scale[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) scale[v] = load_scales(w + v * W * 2);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const i64 at = (n + r) * blocks + b;
      vi sum[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sum[v] = broadcast_int(x.shifts[at]);
#pragma GCC unroll 8
      for (int q = 0; q < block / 4; q++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) add_four<vnni>(sum[v], w + 2 * lanes + (q * lanes + v * W) * 4, x.bytes + at * block + q * 4);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) total[r][v] = __builtin_convertvector(sum[v], vf) * (scale[v] * x.scales[at]) + total[r][v];
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < vectors && v * W < width; v++) {
      float* to = out + (n + r) * O + v * W;
      const i64 count = width - v * W < W ? width - v * W : W;
      vf y = total[r][v] * alpha;
      if (beta != 0.0f) y += load_some(to, count) * beta;
      if (bias) y += load_some(bias + v * W, count);
      store_some(to, y, count);
    }
}

template <bool vnni>
static inline void panels(const Linear& linear, const Quantised& x, i64 N, i64 I, i64 begin, i64 end) {
  const auto& [out, _, w, bias, O, alpha, beta] = linear;
  const i64 blocks = I / block;
  for (i64 o = begin; o < end; o += lanes) {
    const i64 width = width_of(o / lanes, O);
    const uint8_t* panel = w + o * blocks * row_bytes;
    const float* add = bias ? bias + o : nullptr;
    i64 n = 0;
    for (; n + most_rows <= N; n += most_rows) dots<most_rows, vnni>(out + o, O, x, n, panel, width, add, blocks, alpha, beta);
    if constexpr (most_rows > 4)
      if (n + 4 <= N) dots<4, vnni>(out + o, O, x, n, panel, width, add, blocks, alpha, beta), n += 4;
    for (; n < N; n++) dots<1, vnni>(out + o, O, x, n, panel, width, add, blocks, alpha, beta);
  }
}

}  // namespace

void quantize_q8_0(Context& c, uint8_t* out, const float* x, i64 O, i64 I) {
  const i64 blocks = I / block;
  parallel_range(c, (O + lanes - 1) / lanes, 1 + 32768 / (I * lanes), [&](i64 begin, i64 end) {
    for (i64 p = begin; p < end; p++) {
      const i64 width = width_of(p, O);
      uint8_t* to = out + p * lanes * blocks * row_bytes;
      for (i64 b = 0; b < blocks; b++, to += width * row_bytes)
        for (i64 r = 0; r < width; r++) {
          const float* from = x + (p * lanes + r) * I + b * block;
          const float d = largest(from) / 127.0f;
          const float inverse = d == 0.0f ? 0.0f : 1.0f / d;
          const uint16_t scale = narrow_scale(d);
          memcpy(to + 2 * r, &scale, sizeof scale);
          // Half away from zero, as ggml rounds weights.
          for (i64 i = 0; i < block; i++) to[2 * width + (i / 4 * width + r) * 4 + i % 4] = static_cast<uint8_t>(static_cast<int>(roundf(from[i] * inverse)) + 128);
        }
    }
  });
}

void gather_rows_q8_0(Context& c, float* out, const uint8_t* table, i64 V, const int32_t* index, i64 N, i64 C) {
  const i64 blocks = C / block;
  parallel_range(c, N, 1 + grain / C, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      const i64 p = index[n] / lanes, r = index[n] % lanes, width = width_of(p, V);
      const uint8_t* from = table + p * lanes * blocks * row_bytes;
      for (i64 b = 0; b < blocks; b++, from += width * row_bytes) {
        uint8_t scale[2 * W] = {};
        memcpy(scale, from + 2 * r, 2);
        const float d = load_scales(scale)[0];
        for (i64 i = 0; i < block; i++) out[n * C + b * block + i] = d * static_cast<float>(from[2 * width + (i / 4 * width + r) * 4 + i % 4] - 128);
      }
    }
  });
}

/// Whole panels: a microsecond of memory, so that the threads end together.
i64 q8_0_rows_of_task(i64 N, i64 I) { return lanes * (1 + (16 * 1024) / (I * lanes * (1 + N / most_rows) + 1)); }

void q8_0_rows(const Linear& linear, const Quantised& x, i64 N, i64 I, i64 begin, i64 end) {
#if defined(__AVX512F__)
  static const bool vnni = __builtin_cpu_supports("avx512vnni");
  if (vnni) return panels<true>(linear, x, N, I, begin, end);
#endif
  panels<false>(linear, x, N, I, begin, end);
}

}  // namespace attune::ATTUNE_ISA
