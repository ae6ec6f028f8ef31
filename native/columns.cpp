// Pieces of rows, cut out of wider rows or laid into them: fused query-key-value and gate-up projections.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void copy_columns(Context& c, float* out, i64 out_stride, const float* x, i64 x_stride, i64 rows, i64 width, bool add) {
  parallel_range(c, rows, 1 + grain / (width + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      float* to = out + n * out_stride;
      const float* from = x + n * x_stride;
      if (!add) {
        memcpy(to, from, static_cast<size_t>(width) * sizeof(float));
        continue;
      }
      for (i64 i = 0; i < width; i += W) {
        const i64 count = width - i < W ? width - i : W;
        store_some(to + i, load_some(to + i, count) + load_some(from + i, count), count);
      }
    }
  });
}

}  // namespace attune::ATTUNE_ISA
