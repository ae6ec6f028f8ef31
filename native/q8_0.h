// Products with q8_0 weights (q8_0.cpp) as linear.cpp cuts them into tasks.
#pragma once
#include "simd.h"

namespace attune::ATTUNE_ISA {

/// x as products take it: bytes (N,I), and a scale and −128·Σ bytes a block.
struct Quantised {
  int8_t* bytes;
  float* scales;
  int32_t* shifts;
};

/// In scratch, until the next call.
Quantised quantise_rows(Context& c, const float* x, i64 N, i64 I);

/// Rows of w a task reads, and the bytes of one.
i64 q8_0_rows_of_task(i64 N, i64 I);
ATTUNE_INLINE i64 q8_0_row_bytes(i64 I) { return I / 32 * 34; }

/// Outputs [begin, end) of every row of x; begin is the first of a task.
void q8_0_rows(const Linear& linear, const Quantised& x, i64 N, i64 I, i64 begin, i64 end);

}  // namespace attune::ATTUNE_ISA
