// CUDA's execution model on one CPU core, for tests: the threads of a block are fibers that run to their next barrier, warp by warp and block by block.
// Not for speed. It is stricter than a GPU: a warp whose lanes do not meet at the same barrier ends the program with a sentence.
// Fragments and matrices are laid out as the PTX manual says of mma.m16n8k16 (bf16) and ldmatrix.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

namespace emulator {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

/// What one lane shows the others.
struct Shown {
  alignas(16) unsigned char bytes[32];
};

struct Thread {
  dim3 at;
  int lane;
  int turn;  // which of the two slots comes next: so one barrier an exchange is enough
  Shown (*warp)[32];
};

extern Thread* thread;
extern dim3 block, block_size, grid_size;
extern unsigned char* block_memory;

void meet_block();
void meet_warp();

/// Shows x to the warp and returns what all lanes showed.
template <class T>
const Shown* exchange(const T& x) {
  static_assert(sizeof(T) <= sizeof(Shown));
  Shown* slots = thread->warp[thread->turn];
  thread->turn ^= 1;
  std::memcpy(slots[thread->lane].bytes, &x, sizeof x);
  meet_warp();
  return slots;
}

template <class T>
T shown_by(const Shown* slots, int lane) {
  T x;
  std::memcpy(&x, slots[lane].bytes, sizeof x);
  return x;
}

inline float as_float(u32 bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline u16 narrow(float x) {
  u32 bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return static_cast<u16>(bits >> 16 | 0x40);
  return static_cast<u16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline u16 to_half(float x) {
  const _Float16 half = static_cast<_Float16>(x);
  u16 bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

inline float from_half(u16 bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return static_cast<float>(half);
}

/// What a warp's product came to, of each lane.
extern float (*products)[4];

/// The last lane to come multiplies for all: rows of a and c are lane / 4 and that + 8, columns of c are 2 · (lane % 4) and the next; a pair of a's or b's
/// numbers lies along the depth, from 2 · (lane % 4) on and from that + 8 on; b's column is lane / 4.
inline void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  struct Fragments {
    u32 a[4], b[2];
  };
  Shown* slots = thread->warp[thread->turn];
  thread->turn ^= 1;
  const Fragments mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  std::memcpy(slots[thread->lane].bytes, &mine, sizeof mine);
  if (thread->lane == 31) {
    float left[16][16], right[16][8], sums[16][8] = {};
    for (int lane = 0; lane < 32; lane++) {
      const auto f = shown_by<Fragments>(slots, lane);
      const int group = lane / 4, depth = lane % 4 * 2;
      for (int odd = 0; odd < 2; odd++) {
        const auto half = [&](u32 bits) { return as_float((odd ? bits >> 16 : bits) << 16); };
        left[group][depth + odd] = half(f.a[0]);
        left[group + 8][depth + odd] = half(f.a[1]);
        left[group][depth + 8 + odd] = half(f.a[2]);
        left[group + 8][depth + 8 + odd] = half(f.a[3]);
        right[depth + odd][group] = half(f.b[0]);
        right[depth + 8 + odd][group] = half(f.b[1]);
      }
    }
    for (int m = 0; m < 16; m++)
      for (int k = 0; k < 16; k++)
        for (int n = 0; n < 8; n++) sums[m][n] += left[m][k] * right[k][n];
    for (int lane = 0; lane < 32; lane++)
      for (int i = 0; i < 4; i++) products[lane][i] = sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
  meet_warp();
  for (int i = 0; i < 4; i++) c[i] += products[thread->lane][i];
}

inline void load_matrices(u32 (&r)[4], const u16* row, bool turned) {
  const Shown* all = exchange(row);
  const int group = thread->lane >> 2, quarter = thread->lane & 3;
  for (int i = 0; i < 4; i++) {
    const auto at = [&](int y, int x) { return static_cast<u32>(shown_by<const u16*>(all, 8 * i + y)[x]); };
    r[i] = turned ? at(2 * quarter, group) | at(2 * quarter + 1, group) << 16 : at(group, 2 * quarter) | at(group, 2 * quarter + 1) << 16;
  }
}

/// A kernel, called with the addresses of its arguments, and the bytes of each.
struct Call {
  std::function<void(void**)> run;
  std::vector<std::size_t> sizes;
};
std::map<std::string, Call>& kernels();

struct Registered {
  template <class... A>
  Registered(const char* name, void (*kernel)(A...)) {
    kernels()[name] = {[kernel](void** arguments) { call(kernel, arguments, std::index_sequence_for<A...>()); }, {sizeof(A)...}};
  }
  template <class... A, std::size_t... i>
  static void call(void (*kernel)(A...), void** arguments, std::index_sequence<i...>) {
    kernel(*static_cast<A*>(arguments[i])...);
  }
};

/// Runs all blocks of a launch, one after the other, every second launch from the last block and warp to the first. What a block finds in its memory, registers and slots is what the last one left.
void launch(const Call& kernel, void** arguments, dim3 grid, dim3 threads, unsigned block_bytes);

/// Whether all these bytes lie in one piece of memory that the driver gave.
bool known(unsigned long long at, std::size_t bytes);
/// Runs what the stream was given.
void run_all();

}  // namespace emulator

#define DEVICE inline
#define KERNEL(threads) static void
#define UNROLL
#define TABLE static const
#define EXPORT(name) static const emulator::Registered registered_##name(#name, name);
#define __shared__ static
#define BLOCK_MEMORY(type, name) type* name = reinterpret_cast<type*>(emulator::block_memory)
#define threadIdx (emulator::thread->at)
#define blockIdx (emulator::block)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)

inline void __syncthreads() { emulator::meet_block(); }
template <class T>
T __shfl_sync(unsigned, T x, int lane) {
  return emulator::shown_by<T>(emulator::exchange(x), lane & 31);
}
template <class T>
T __shfl_xor_sync(unsigned, T x, int mask) {
  return emulator::shown_by<T>(emulator::exchange(x), emulator::thread->lane ^ mask);
}
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8) sum += static_cast<std::int8_t>(a >> i) * static_cast<std::int8_t>(b >> i);
  return sum;
}
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
