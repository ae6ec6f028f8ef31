// See gemm.h.
#include "blocks.h"
#include "gemm.h"

namespace attune::ATTUNE_ISA {

namespace {

// Sums kept in registers: MR × full vectors. AVX-512 and NEON have 32 registers, the others 16.
#if defined(__AVX512F__)
constexpr int MR = 14, full = 2;
#elif defined(__AVX2__)
constexpr int MR = 6, full = 2;
#elif defined(__aarch64__)
constexpr int MR = 8, full = 3;
#else
constexpr int MR = 4, full = 2;
#endif
constexpr i64 KC = 320;                // MR × KC of A, 18 KiB, stay in L1 while B's panels run past them
constexpr i64 l2_floats = 100 * 1024;  // of packed B: 400 KiB of a 1 MiB L2. What is fetched ahead needs room too: 640 KiB lost up to 3 %
constexpr i64 block = 16;              // of k: between them lines are fetched ahead
constexpr i64 slack = 16;              // packing writes past a panel's end

/// Keeps the compiler from recomputing a value at every use.
#define ATTUNE_OPAQUE(x) asm("" : "+r"(x))

/// Floats from one row of a packed panel of A to the next, and from one k to the next.
template <bool by_rows> constexpr i64 packed_row = by_rows ? KC + 16 : 1;
template <bool by_rows> constexpr i64 packed_step = by_rows ? 1 : MR;
constexpr i64 a_size = MR * packed_row<true> + slack;

/// A panel of `width` ≤ MR rows and `depth` columns, in A's own order, missing rows zero.
template <bool by_rows>
void pack_a_panel(float* out, const float* from, i64 stride, i64 width, i64 depth) {
  if (by_rows) {
    for (i64 d = 0; d < depth; d += W)
      for (i64 m = 0; m < MR; m++) store(out + m * packed_row<true> + d, m < width ? load_some(from + m * stride + d, least(depth - d, W)) : vf{});
    return;
  }
  for (i64 d = 0; d < depth; d++, from += stride, out += MR)
    for (i64 m = 0; m < MR; m += W) store(out + m, m < width ? load_some(from + m, least(width - m, W)) : vf{});
}

/// As pack_b_panel, of numbers in blocks: rows that are lines go through a small square of them.
template <int R, class B>
void pack_blocks(float* out, const B& blocks, const Operand& b, i64 line, i64 width, i64 k, i64 depth) {
  const i64 first = b.first + line * b.column + k * b.row;
  if (b.column == 1) {
    for (i64 d = 0; d < depth; d++, out += R) {
      decode_from(out, blocks, first + d * b.row, width);
      for (i64 r = width; r < R; r += W) store(out + r, vf{});
    }
    return;
  }
  constexpr i64 side = 64;
  float square[R * side];
  for (i64 d = 0; d < depth; d += side) {
    const i64 count = least(side, depth - d);
    for (i64 r = 0; r < width; r++) decode_from(square + r * side, blocks, first + r * b.column + d, count);
    pack_panel<R>(out + d * R, square, side, 1, width, count);
  }
}

template <int R>
void pack_b_panel(float* out, const Operand& b, i64 line, i64 width, i64 k, i64 depth) {
  if (b.blocks.blocks != Blocks::none) return with_blocks(b.blocks, [&](const auto& blocks) { pack_blocks<R>(out, blocks, b, line, width, k, depth); });
  const i64 offset = line * b.column + k * b.row;
  if (b.bf16)
    pack_panel<R>(out, static_cast<const uint16_t*>(b.data) + offset, b.column, b.row, width, depth);
  else
    pack_panel<R>(out, static_cast<const float*>(b.data) + offset, b.column, b.row, width, depth);
}

/// B given by rows: lines d of the chunk from `begin` to `end` for all panels at once, read as they lie, one after the other.
template <int R>
void pack_b_slice(float* out, i64 b_size, const Operand& b, i64 n0, i64 nc, i64 k0, i64 begin, i64 end) {
  for (i64 d = begin; d < end; d++) {
    const float* row = static_cast<const float*>(b.data) + (k0 + d) * b.row + n0;
    for (i64 p = 0, n = 0; n < nc; p++)
#pragma GCC unroll 4
      for (i64 r = 0; r < R; r += W, n += W) store(out + p * b_size + d * R + r, n < nc ? load_some(row + n, least(nc - n, W)) : vf{});
  }
}

struct Update {
  float alpha, beta;
  const float* bias;
};

ATTUNE_INLINE vf updated(vf product, const float* old, i64 count, const float* bias, const Update& u) {
  vf y = product * u.alpha;
  if (u.beta != 0.0f) y = load_some(old, count) * u.beta + y;
  if (bias) y = y + load_some(bias, count);
  return y;
}

/// Lines fetched into L2 while the multiply-adds run: `count` of them, `step` floats apart, for every block of k; then `jump` on.
/// What lies in L3 or beyond is up to 500 cycles away and comes in pieces of rows, which the processor does not foresee:
/// A's next panel so gave 1 to 4 %, B's next lines up to 15 % of dW.
struct Fetch {
  const float* from;
  i64 step, count, jump;
};

/// A thread's own run of tasks: from which panel of A to which, and which lines of B's next chunk it will pack.
struct Share {
  i64 first_panel, last_panel, first_line, end_line;
};

/// acc(R, NV·W) = a · b over `depth`; a's rows lie a_row floats apart, or its columns a_step.
template <bool by_rows, int NV, int R>
ATTUNE_INLINE void multiply(vf (&acc)[R][NV], const float* a, i64 a_row, i64 a_step, const float* b, i64 depth, Fetch next_a, Fetch next_b) {
#pragma GCC unroll 16
  for (int m = 0; m < R; m++)
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) acc[m][n] = vf{};
  // Three pointers and two distances reach 14 rows: an address is a register plus 0, 1, 2 or 4 times another.
  const float *first = a, *second = a + 5 * a_row, *third = a + 10 * a_row;
  i64 one = a_row, three = 3 * a_row;
  ATTUNE_OPAQUE(second);
  ATTUNE_OPAQUE(third);
  ATTUNE_OPAQUE(three);
  while (depth > 0) {
    for (i64 i = 0; i < next_a.count; i++) __builtin_prefetch(next_a.from + i * next_a.step, 0, 2);
    next_a.from += next_a.jump;
    for (i64 i = 0; i < next_b.count; i++)
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) __builtin_prefetch(next_b.from + i * next_b.step + n * W, 0, 2);
    next_b.from += next_b.jump;
    const i64 steps = least(depth, block);
    depth -= steps;
#pragma GCC unroll 4
    for (i64 k = 0; k < steps; k++) {
      vf row[NV];
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) row[n] = load(b + n * W);
#pragma GCC unroll 16
      for (int m = 0; m < R; m++) {
        const float* base = m < 5 ? first : m < 10 ? second : third;
        const vf x = broadcast(by_rows ? base[m % 5 == 3 ? three : m % 5 * one] : a[m]);
#pragma GCC unroll 4
        for (int n = 0; n < NV; n++) acc[m][n] = x * row[n] + acc[m][n];
      }
      first++, second++, third++;
      a += a_step;
      b += NV * W;
    }
  }
}

/// R: rows computed, a few more than asked for at A's end only.
template <bool by_rows, int NV, int R>
void micro(float* out, i64 ldc, const float* a, i64 a_row, i64 a_step, const float* b, i64 depth, i64 rows, i64 columns, const Update& u,
           Fetch next_a, Fetch next_b) {
  // The sums are added to `out` at the end: fetched now, the lines are there by then.
  for (i64 m = 0; m < rows; m++)
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) __builtin_prefetch(out + m * ldc + n * W, 1);
  vf acc[R][NV];
  multiply<by_rows, NV, R>(acc, a, a_row, a_step, b, depth, next_a, next_b);
  if (rows == R && columns == NV * W) {
    if (u.alpha == 1.0f && !u.bias && (u.beta == 1.0f || u.beta == 0.0f)) {
      const auto each = [&](auto put) {
#pragma GCC unroll 16
        for (int m = 0; m < R; m++)
#pragma GCC unroll 4
          for (int n = 0; n < NV; n++) put(out + m * ldc + n * W, acc[m][n]);
      };
      if (u.beta == 0.0f) each([](float* p, vf sum) { store(p, sum); });
      else each([](float* p, vf sum) { store(p, load(p) + sum); });
      return;
    }
#pragma GCC unroll 16
    for (int m = 0; m < R; m++)
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) {
        float* p = out + m * ldc + n * W;
        store(p, updated(acc[m][n], p, W, u.bias ? u.bias + n * W : nullptr, u));
      }
    return;
  }
#pragma GCC unroll 16
  for (int m = 0; m < R; m++) {
    if (m >= rows) break;
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) {
      const i64 left = columns - n * W;
      if (left <= 0) break;
      const i64 count = left < W ? left : W;
      float* p = out + m * ldc + n * W;
      store_some(p, updated(acc[m][n], p, count, u.bias ? u.bias + n * W : nullptr, u), count);
    }
  }
}

/// A's last rows take as many as they need, to the next 4: M = 576 leaves 2, and all 14 for them took 1.7 %.
template <bool by_rows, int NV>
auto micro_for(i64 rows) {
  if (rows > 12 || MR <= 4) return micro<by_rows, NV, MR>;
  if (rows > 8) return micro<by_rows, NV, least(MR, 12)>;
  return rows > 4 ? micro<by_rows, NV, least(MR, 8)> : micro<by_rows, NV, 4>;
}

/// NV: vectors a panel of B is wide.
template <bool by_rows, int NV>
void product(Context& c, float* out, i64 ldc, Operand a, Operand b, i64 M, i64 N, i64 K, float alpha, float beta, const float* bias) {
  constexpr int NR = NV * W;
  const i64 chunks = K > KC ? (K + KC - 1) / KC : 1;
  const i64 depth_max = ((K + chunks - 1) / chunks + W - 1) / W * W;
  const i64 b_size = depth_max * NR + slack;
  // Columns in equal blocks whose packed B fits L2.
  const i64 all_panels = (N + NR - 1) / NR, most_panels = l2_floats / b_size > 1 ? l2_floats / b_size : 1;
  const i64 n_cuts = (all_panels + most_panels - 1) / most_panels, b_panels_max = (all_panels + n_cuts - 1) / n_cuts;
  const i64 a_panels = (M + MR - 1) / MR, a_stride = by_rows ? a.row : a.column, threads = c.pool.threads();
  const float* a_data = static_cast<const float*>(a.data);
  const bool worth = M * N * K > 256 * 1024, b_by_rows = b.column == 1 && !b.bf16 && b.blocks.blocks == Blocks::none;
  float* pack_a = c.scratch(Slot::pack_a, threads * a_size);
  float* pack_b = c.scratch(Slot::pack_b, b_panels_max * b_size);
  Share* shares = reinterpret_cast<Share*>(c.scratch(Slot::tasks, threads * static_cast<i64>(sizeof(Share) / sizeof(float))));
  for (i64 n0 = 0; n0 < N; n0 += b_panels_max * NR) {
    const i64 nc = least(b_panels_max * NR, N - n0), b_panels = (nc + NR - 1) / NR;
    for (i64 k0 = 0; k0 < K || k0 == 0; k0 += depth_max) {
      const i64 depth = least(depth_max, K - k0);
      if (b_by_rows)
        parallel(c, (depth + block - 1) / block, [&](i64 slice, int) {
          pack_b_slice<NR>(pack_b, b_size, b, n0, nc, k0, block * slice, least(depth, block * slice + block));
        }, worth);
      else
        parallel(c, b_panels, [&](i64 p, int) { pack_b_panel<NR>(pack_b + p * b_size, b, n0 + p * NR, least(NR, nc - p * NR), k0, depth); }, worth);
      // A task takes a panel of A past some panels of B, those of one panel of A one after the other: it stays in L1. The cut changes no sum.
      // Tasks are small, so that threads end together: 21 panels on two threads were 11 to 10. But a panel that is copied is copied by every task.
      const i64 enough = (a_stride % 1024 == 0 ? 8 : 32) * threads;
      i64 wide = b_panels;
      while (wide > 4 && a_panels * ((b_panels + wide - 1) / wide) < enough) wide = (wide + 1) / 2;
      const i64 n_blocks = (b_panels + wide - 1) / wide;
      const i64 k_next = k0 + depth;
      const bool last = k_next >= K;
      for (int worker = 0; worker < threads; worker++) {
        const auto first_task = [&](int w) { return c.pool.first_of(w, a_panels * n_blocks); };
        const auto first_line = [&](int w) { return !last && b_by_rows ? c.pool.first_of(w, (depth + block - 1) / block) * block : 0; };
        shares[worker] = {first_task(worker) / n_blocks, (first_task(worker + 1) - 1) / n_blocks, first_line(worker), least(first_line(worker + 1), K - k_next)};
      }
      parallel(c, a_panels * n_blocks, [&](i64 task, int worker) {
        const i64 p_begin = task % n_blocks * wide, p_end = least(p_begin + wide, b_panels);
        const i64 m = task / n_blocks * MR, rows = least(MR, M - m);
        // A is read where it lies: the product broadcasts single floats, so any strides do. Packing took 5 % of a large product, 12 % of a
        // narrow one. But rows a multiple of 4 KiB apart share one set of L1, and A's last rows must not be read past the end: these are copied.
        const float* panel = a_data + m * a.row + k0 * a.column;
        i64 a_row = a.row, a_step = a.column;
        if (rows < MR || a_stride % 1024 == 0) {
          float* packed = pack_a + worker * a_size;
          pack_a_panel<by_rows>(packed, panel, a_stride, rows, depth);
          panel = packed, a_row = packed_row<by_rows>, a_step = packed_step<by_rows>;
        }
        const auto tile = micro_for<by_rows, NV>(rows);
        // Each tile fetches its part of A's next panel, which after a run's last is its first of what comes next, and a run's first panels those
        // of B's lines of the next chunk that this thread will pack.
        const Share& mine = shares[worker];
        const i64 at = task / n_blocks;
        const bool over = at == mine.last_panel, more = over ? !last || n0 + nc < N : m + 2 * MR <= M;
        const float* next = a_data + (over ? mine.first_panel : at + 1) * MR * a.row + (!over ? k0 : last ? 0 : k_next) * a.column;
        const i64 lines = !more ? 0 : by_rows ? MR : block, part = (lines + b_panels - 1) / b_panels;
        const i64 b_part = (block + a_panels - 1) / a_panels, b_first = mine.first_line + (at - mine.first_panel) * b_part * (depth / block);
        const bool b_wanted = b_first >= mine.first_line && b_first < mine.end_line;
        for (i64 p = p_begin; p < p_end; p++) {
          const i64 first = p * part, n = n0 + p * NR, count = first < lines ? least(part, lines - first) : 0;
          const Fetch next_a = by_rows ? Fetch{next + first * a.row, a.row, count, block}
                                       : Fetch{next + MR - 1 + first * (depth / block) * a.column, a.column, count, count * a.column};
          const Fetch next_b = b_wanted ? Fetch{static_cast<const float*>(b.data) + (k_next + b_first) * b.row + n, b.row, b_part, b_part * b.row} : Fetch{};
          const Update u{alpha, k0 == 0 ? beta : 1.0f, last && bias ? bias + n : nullptr};
          tile(out + m * ldc + n, ldc, panel, a_row, a_step, pack_b + p * b_size, depth, rows, least(N - n, NR), u, next_a, next_b);
        }
      }, worth);
      if (K == 0) break;
    }
  }
}

}  // namespace

void gemm(Context& c, float* out, i64 ldc, Operand a, Operand b, i64 M, i64 N, i64 K, float alpha, float beta, const float* bias) {
  if (M == 0 || N == 0) return;
  // Up to one vector of columns (a LoRA's rank): panels half as wide leave half as many lanes empty, twice the speed.
  if (N <= W) return (a.column == 1 ? product<true, 1> : product<false, 1>)(c, out, ldc, a, b, M, N, K, alpha, beta, bias);
  (a.column == 1 ? product<true, full> : product<false, full>)(c, out, ldc, a, b, M, N, K, alpha, beta, bias);
}

}  // namespace attune::ATTUNE_ISA
