// What the processor could do at best: fused multiply-adds on registers only. For bench/, nothing else calls it.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void fma_burst(Context& c, double* flops, i64 rounds) {
  constexpr int sums = 12;
  parallel(c, c.pool.threads(), [&](i64 task, int) {
    vf acc[sums];
#pragma GCC unroll 12
    for (int i = 0; i < sums; i++) acc[i] = broadcast(static_cast<float>(i + task));
    vf x = broadcast(0.999f), y = broadcast(1e-3f);
    for (i64 k = 0; k < rounds; k++) {
#pragma GCC unroll 12
      for (int i = 0; i < sums; i++) acc[i] = acc[i] * x + y;
    }
    vf total = {};
    for (int i = 0; i < sums; i++) total += acc[i];
    volatile float sink = sum(total);
    (void)sink;
  });
  *flops = 2.0 * W * sums * static_cast<double>(rounds) * c.pool.threads();
}

}  // namespace attune::ATTUNE_ISA
