// Gathering rows of a table by index, and its undoing.
#include "blocks.h"

namespace attune::ATTUNE_ISA {

void gather_rows(Context& c, float* out, Weight table, const int32_t* index, i64 N, i64 C) {
  parallel_range(c, N, 1 + grain / (C + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      float* row = out + n * C;
      if (table.blocks != Blocks::none) {
        with_blocks(table, [&](const auto& blocks) { decode_from(row, blocks, index[n] * C, C); });
        continue;
      }
      if (!table.bf16) {
        memcpy(row, static_cast<const float*>(table.data) + index[n] * C, static_cast<size_t>(C) * sizeof(float));
        continue;
      }
      const uint16_t* from = static_cast<const uint16_t*>(table.data) + index[n] * C;
      i64 i = 0;
      for (; i + W <= C; i += W) store(row + i, load(from + i));
      if (i < C) store_some(row + i, load_some(from + i, C - i), C - i);
    }
  });
}

/// Cut by columns: every row of the table then gathers in order of n, whoever runs.
void scatter_add_rows(Context& c, float* table, const float* rows, const int32_t* index, i64 N, i64 C) {
  parallel_range(c, C, 4 * W, [&](i64 begin, i64 end) {
    for (i64 n = 0; n < N; n++) {
      float* to = table + index[n] * C;
      const float* from = rows + n * C;
      for (i64 i = begin; i < end; i += W) {
        const i64 count = end - i < W ? end - i : W;
        store_some(to + i, load_some(to + i, count) + load_some(from + i, count), count);
      }
    }
  });
}

}  // namespace attune::ATTUNE_ISA
