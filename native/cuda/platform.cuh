// What the kernels stand on, in two versions: CUDA's own (nvcc, sm_80 and newer) and an emulated one (a plain C++ compiler, emulator/), so that the same
// .cu files run, slowly, where there is no GPU. Only this file and emulator/ know which of the two it is.
//
// Numbers go through the tensor cores in pieces: one bf16 (P = 1: products of rounded numbers) or three whose sum is the f32 exactly (P = 3). Of three
// by three pieces the six products above 2⁻²⁵ of the whole are added, the small ones first: f32 products to within an ulp, at a sixth of bf16's speed.
#pragma once
#include <cstdint>

#ifdef __CUDACC__
#define DEVICE __device__ __forceinline__
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)
#define EXPORT(name)
#define TABLE static __device__ const
#define UNROLL _Pragma("unroll")
#define BLOCK_MEMORY(type, name)                            \
  extern __shared__ __align__(16) unsigned char attune_block[]; \
  type* name = reinterpret_cast<type*>(attune_block)
#else
#include "emulator/execution.h"
#endif

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using i64 = std::int64_t;

/// Where a kernel leaves what it may not go on with: which kernel, at which place, what it found, how much was allowed. Read with the next tensor.
struct Fault {
  int kernel, place, found, limit;
};
enum { FAULT_GATHER = 1, FAULT_SCATTER, FAULT_TARGETS, FAULT_SEGMENTS, FAULT_POSITIONS };

DEVICE bool within(int value, int limit, Fault* fault, int kernel, int place) {
  if (value >= 0 && value < limit) return true;
  *fault = Fault{kernel, place, value, limit};
  return false;
}

// ── bf16 and float16 ─────────────────────────────────────────────────────────────────────────────────────────────────

DEVICE float widen(u16 bits) {
#ifdef __CUDACC__
  return __uint_as_float(static_cast<u32>(bits) << 16);
#else
  return emulator::as_float(static_cast<u32>(bits) << 16);
#endif
}

/// To nearest, ties to even; a NaN stays one.
DEVICE u16 narrow(float x) {
#ifdef __CUDACC__
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  return emulator::narrow(x);
#endif
}

DEVICE u16 to_half(float x) {
#ifdef __CUDACC__
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  return emulator::to_half(x);
#endif
}

DEVICE float from_half(u16 bits) {
#ifdef __CUDACC__
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
#else
  return emulator::from_half(bits);
#endif
}

/// Rounded each, never made one operation with what comes after: what blocks decode to has the reference's bits.
DEVICE float times(float a, float b) {
#ifdef __CUDACC__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

DEVICE float plus(float a, float b) {
#ifdef __CUDACC__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

DEVICE u32 pair(u16 low, u16 high) { return static_cast<u32>(low) | static_cast<u32>(high) << 16; }

/// x as P pieces, the largest first; three of them are all its 24 bits.
template <int P>
DEVICE void split(float x, u16 (&piece)[P]) {
  UNROLL
  for (int p = 0; p < P; p++) {
    piece[p] = narrow(x);
    x -= widen(piece[p]);
  }
}

// ── four numbers at once ─────────────────────────────────────────────────────────────────────────────────────────────

/// x[0..count), zeros after; `whole`: x lies where four can be read at once.
DEVICE float4 load4(const float* x, int count, bool whole) {
  if (whole && count >= 4) return *reinterpret_cast<const float4*>(x);
  float4 v = {0, 0, 0, 0};
  if (count > 0) v.x = x[0];
  if (count > 1) v.y = x[1];
  if (count > 2) v.z = x[2];
  if (count > 3) v.w = x[3];
  return v;
}

DEVICE float4 load4(const u16* x, int count, bool whole) {
  float4 v = {0, 0, 0, 0};
  if (whole && count >= 4) {
    const uint2 bits = *reinterpret_cast<const uint2*>(x);
    v.x = widen(static_cast<u16>(bits.x)), v.y = widen(static_cast<u16>(bits.x >> 16));
    v.z = widen(static_cast<u16>(bits.y)), v.w = widen(static_cast<u16>(bits.y >> 16));
    return v;
  }
  if (count > 0) v.x = widen(x[0]);
  if (count > 1) v.y = widen(x[1]);
  if (count > 2) v.z = widen(x[2]);
  if (count > 3) v.w = widen(x[3]);
  return v;
}

/// Four numbers into block memory, one plane for each piece, `plane` elements apart. `to` is a multiple of 4 elements in.
template <int P>
DEVICE void store4(u16* to, int plane, float4 v) {
  u16 x[P], y[P], z[P], w[P];
  split<P>(v.x, x), split<P>(v.y, y), split<P>(v.z, z), split<P>(v.w, w);
  UNROLL
  for (int p = 0; p < P; p++) *reinterpret_cast<uint2*>(to + p * plane) = uint2{pair(x[p], y[p]), pair(z[p], w[p])};
}

// ── tensor cores ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// c(16,8) += a(16,16) · b(16,8), bf16 in and f32 out; a warp's lanes hold the fragments as PTX lays out mma.m16n8k16.
DEVICE void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#ifdef __CUDACC__
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulator::mma(c, a, b0, b1);
#endif
}

/// Four 8 × 8 matrices of bf16 from block memory; lane 8i + r names row r of matrix i. Turned: each comes transposed.
template <bool turned>
DEVICE void load_matrices(u32 (&r)[4], const u16* row) {
#ifdef __CUDACC__
  const u32 at = static_cast<u32>(__cvta_generic_to_shared(row));
  if (turned)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
#else
  emulator::load_matrices(r, row, turned);
#endif
}

/// The left side's fragment for rows m.. and depth k.. of x, which is (m, k), or (k, m) where turned.
template <bool turned>
DEVICE void load_left(u32 (&r)[4], const u16* x, int pitch, int m, int k, int lane) {
  if (turned)
    load_matrices<true>(r, x + (k + (lane & 7) + (lane >> 4) * 8) * pitch + m + ((lane >> 3) & 1) * 8);
  else
    load_matrices<false>(r, x + (m + (lane & 7) + ((lane >> 3) & 1) * 8) * pitch + k + (lane >> 4) * 8);
}

/// The right side's for columns n.. and n + 8.. : r[0], r[1] are the first's, r[2], r[3] the second's. x is (n, k), or (k, n) where turned.
template <bool turned>
DEVICE void load_right(u32 (&r)[4], const u16* x, int pitch, int n, int k, int lane) {
  if (turned)
    load_matrices<true>(r, x + (k + (lane & 7) + ((lane >> 3) & 1) * 8) * pitch + n + (lane >> 4) * 8);
  else
    load_matrices<false>(r, x + (n + (lane & 7) + (lane >> 4) * 8) * pitch + k + ((lane >> 3) & 1) * 8);
}

/// c += Σ a_i · b_j over the pieces that count. Tensor cores cut what they add to a sum; with several pieces a sum of its own is rounded into c.
template <int PA, int PB>
DEVICE void multiply(float (&c)[4], const u32 (&a)[PA][4], const u32 (&b)[PB][4], int half) {
  if (PA * PB == 1) return mma(c, a[0], b[0][2 * half], b[0][2 * half + 1]);
  float sum[4] = {0, 0, 0, 0};
  UNROLL
  for (int rank = 2; rank >= 0; rank--) {
    UNROLL
    for (int i = 0; i < PA; i++)
      if (rank - i >= 0 && rank - i < PB) mma(sum, a[i], b[rank - i < PB && rank >= i ? rank - i : 0][2 * half], b[rank - i < PB && rank >= i ? rank - i : 0][2 * half + 1]);
  }
  UNROLL
  for (int i = 0; i < 4; i++) c[i] += sum[i];
}

// ── sums over a warp and a block, always in one order ────────────────────────────────────────────────────────────────

DEVICE float warp_sum(float x) {
  for (int d = 16; d > 0; d >>= 1) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}

DEVICE float warp_max(float x) {
  for (int d = 16; d > 0; d >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
  return x;
}
