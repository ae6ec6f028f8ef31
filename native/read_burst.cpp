// How fast memory can be read at best: every float of a block once, summed into registers. For bench/, nothing else calls it.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void read_burst(Context& c, float* out, const float* x, i64 n) {
  const i64 threads = c.pool.threads();
  const i64 share = n / threads / (8 * W) * (8 * W);
  float* sums = c.scratch(Slot::rows, threads);
  parallel(c, threads, [&](i64 task, int) {
    vf acc[8] = {};
    const float* p = x + task * share;
    for (i64 i = 0; i < share; i += 8 * W)
#pragma GCC unroll 8
      for (int j = 0; j < 8; j++) acc[j] = acc[j] + load(p + i + j * W);
    vf total = {};
    for (int j = 0; j < 8; j++) total += acc[j];
    sums[task] = sum(total);
  });
  *out = 0;
  for (i64 t = 0; t < threads; t++) *out += sums[t];
}

}  // namespace attune::ATTUNE_ISA
