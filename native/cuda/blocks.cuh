// Matrices as products read them, four numbers at a time: dense ones, and frozen ones in blocks (device.ts's BlockStorage) laid out as
// src/engine/device/cuda/blocks.ts does. What is fetched stays as it lies until it is needed, so that a step's arithmetic does not wait for the next one's
// memory; decoded, it is bit for bit the numbers the blocks mean. `at`: the first of the four, a multiple of 4 in blocks, whose rows are whole blocks.
#pragma once
#include "platform.cuh"

template <class E>
struct Dense {
  using Four = float4;
  const E* numbers;
  DEVICE Dense(const void* from, i64) : numbers(static_cast<const E*>(from)) {}
  /// Zeros from `count` on; `whole`: four can be read at once.
  DEVICE Four fetch(i64 at, int count, bool whole) const { return load4(numbers + at, count, whole); }
  DEVICE float4 decode(const Four& four) const { return four; }
};

/// ggml's Q8_0: all bytes, then a float16 scale for each 32.
struct Int8 {
  struct Four {
    u32 bytes, scale;
  };
  const u32* words;
  const u16* scales;
  DEVICE Int8(const void* from, i64 length) : words(static_cast<const u32*>(from)), scales(reinterpret_cast<const u16*>(static_cast<const char*>(from) + length)) {}
  DEVICE Four fetch(i64 at, int count, bool) const { return count > 0 ? Four{words[at >> 2], scales[at >> 5]} : Four{0, 0}; }
  DEVICE float4 decode(const Four& four) const {
    const float scale = from_half(static_cast<u16>(four.scale));
    const auto number = [&](int i) { return times(scale, static_cast<float>(static_cast<std::int8_t>(four.bytes >> 8 * i))); };
    return {number(0), number(1), number(2), number(3)};
  }
};

/// ggml's Q4_0: halves of bytes, the first 16 of a block the low ones, then a float16 scale for each 32 numbers.
struct Q4_0 {
  struct Four {
    u32 halves, scale;
  };
  const u32* words;
  const u16* scales;
  DEVICE Q4_0(const void* from, i64 length) : words(static_cast<const u32*>(from)), scales(reinterpret_cast<const u16*>(static_cast<const char*>(from) + length / 2)) {}
  DEVICE Four fetch(i64 at, int count, bool) const {
    if (count <= 0) return {0x08080808, 0};
    const int in_block = static_cast<int>(at & 31);
    return {words[(at >> 5) * 4 + (in_block & 15) / 4] >> (in_block < 16 ? 0 : 4) & 0x0f0f0f0f, scales[at >> 5]};
  }
  DEVICE float4 decode(const Four& four) const {
    const float scale = from_half(static_cast<u16>(four.scale));
    const auto number = [&](int i) { return times(scale, static_cast<float>(static_cast<int>(four.halves >> 8 * i & 15) - 8)); };
    return {number(0), number(1), number(2), number(3)};
  }
};

/// The numbers of formats/nf4.ts, of a block scaled to [-1, 1].
TABLE float nf4_numbers[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

/// NF4 with its scales quantised again: halves of bytes, the first of two the high one; f32 mean of the scales; what a scale's byte means (256); a scale for
/// each 256 scales; a byte for each 64 numbers.
struct Nf4 {
  struct Four {
    u32 halves, scale;
    float outer;
  };
  const u16* pairs;
  const float* head;
  const float* outer;
  const unsigned char* scales;
  DEVICE Nf4(const void* from, i64 length)
      : pairs(static_cast<const u16*>(from)),
        head(reinterpret_cast<const float*>(static_cast<const char*>(from) + length / 2)),
        outer(head + 257),
        scales(reinterpret_cast<const unsigned char*>(outer + (length / 64 + 255) / 256)) {}
  DEVICE Four fetch(i64 at, int count, bool) const { return count > 0 ? Four{pairs[at >> 2], scales[at >> 6], outer[at >> 14]} : Four{0x7777, 0, 0.0f}; }
  DEVICE float4 decode(const Four& four) const {
    const float scale = plus(times(head[1 + four.scale], four.outer), head[0]);
    const auto number = [&](int shift) { return times(nf4_numbers[four.halves >> shift & 15], scale); };
    return {number(4), number(0), number(12), number(8)};
  }
};
