// Causal attention over packed segments, forward: tiled with an online softmax, as FlashAttention (Dao et al. 2022) does.
// Scores never leave a tile. A task owns the output of some queries of one key head: the cut changes no sum.
#include "attention.h"

namespace attune::ATTUNE_ISA {

namespace {

struct Shape {
  i64 H, K, D, G;
  float scale;
};

/// Few rows (decoding): keys and values are read once, as they lie, without packing.
void attend_few(float* out, float* lse, const float* q, const float* k, const float* v, const Segment& s, const Shape& a, i64 kv, float* scratch) {
  const i64 stride = a.K * a.D;
  float* scores = scratch;  // (keys of both spans)
  for (i64 j = 0; j < s.query_length; j++) {
    const i64 own = s.key_length - s.query_length + j + 1;
    const i64 keys = s.prefix_length + own;
    for (i64 g = 0; g < a.G; g++) {
      const i64 head = (s.query_start + j) * a.H + kv * a.G + g;
      const float* query = q + head * a.D;
      float max = -INFINITY;
      for (i64 i = 0; i < keys; i++) {
        const i64 row = i < s.prefix_length ? s.prefix_start + i : s.key_start + i - s.prefix_length;
        const float* key = k + row * stride + kv * a.D;
        vf total = {};
        i64 d = 0;
        for (; d + W <= a.D; d += W) total = load(query + d) * load(key + d) + total;
        if (d < a.D) total = load_some(query + d, a.D - d) * load_some(key + d, a.D - d) + total;
        scores[i] = sum(total) * a.scale;
        max = scores[i] > max ? scores[i] : max;
      }
      vf sums = {};
      const vf base = broadcast(max);
      for (i64 i = 0; i < keys; i += W) {
        const i64 count = keys - i < W ? keys - i : W;
        vf p = vexp(load_some(scores + i, count) - base);
        for (i64 l = count; l < W; l++) p[l] = 0;
        store_some(scores + i, p, count);
        sums += p;
      }
      const float total = sum(sums);
      const float inverse = 1.0f / total;
      float* y = out + head * a.D;
      for (i64 d = 0; d < a.D; d += 4 * W) {
        vf acc[4] = {};
        const i64 vectors = a.D - d >= 4 * W ? 4 : (a.D - d + W - 1) / W;
        for (i64 i = 0; i < keys; i++) {
          const i64 row = i < s.prefix_length ? s.prefix_start + i : s.key_start + i - s.prefix_length;
          const float* value = v + row * stride + kv * a.D + d;
          const vf p = broadcast(scores[i]);
          if (a.D - d >= 4 * W) {
#pragma GCC unroll 4
            for (int n = 0; n < 4; n++) acc[n] = p * load(value + n * W) + acc[n];
          } else {
            for (i64 n = 0; n < vectors; n++) {
              const i64 left = a.D - d - n * W;
              acc[n] = p * load_some(value + n * W, left < W ? left : W) + acc[n];
            }
          }
        }
        for (i64 n = 0; n < vectors; n++) {
          const i64 left = a.D - d - n * W;
          store_some(y + d + n * W, acc[n] * inverse, left < W ? left : W);
        }
      }
      lse[head] = max + logf(total);
    }
  }
}

/// One step of the online softmax on a row of scores: exponentials in place of scores; returns what earlier sums shrink by.
ATTUNE_INLINE float soften(float* scores, i64 seen, float scale, float& max, float& total) {
  constexpr int vectors = key_block / W;
  for (i64 i = seen; i < key_block; i++) scores[i] = -INFINITY;
  vf x[vectors], top = broadcast(max);
#pragma GCC unroll 16
  for (int i = 0; i < vectors; i++) {
    x[i] = load(scores + i * W) * scale;
    top = vmax(x[i], top);
  }
  const float higher = max_lane(top);
  const vf base = broadcast(higher);
  vf sums = {};
#pragma GCC unroll 16
  for (int i = 0; i < vectors; i++) {
    const vf p = vexp(x[i] - base);
    store(scores + i * W, p);
    sums += p;
  }
  const float shrink = higher == max ? 1.0f : vexp(max - higher);
  max = higher;
  total = total * shrink + sum(sums);
  return shrink;
}

void attend_tile(float* out, float* lse, const float* q, const float* k, const float* v, const Segment& s, const Shape& a, i64 kv, i64 j0,
                 float* scratch) {
  const i64 per_tile = queries_per_tile(a.G);
  const i64 queries = s.query_length - j0 < per_tile ? s.query_length - j0 : per_tile;
  const i64 rows = queries * a.G, padded = round_up(rows, tile_mr), wide = round_up(a.D, tile_nr);
  const i64 stride = a.K * a.D;
  float* block_packed = scratch;                      // kᵀ: panels of (D, tile_nr); then v: panels of (keys, tile_nr)
  float* scores = block_packed + key_block * wide;    // (padded, key_block)
  float* sums = scores + padded * key_block;          // (padded, wide)
  float* max = sums + padded * wide;                  // (padded)
  float* total = max + padded;                        // (padded)

  for (i64 r = 0; r < padded; r++) max[r] = -INFINITY, total[r] = 0;
  memset(sums, 0, static_cast<size_t>(padded * wide) * sizeof(float));

  const i64 blocks = block_count(s.prefix_length) + block_count(s.key_length);
  for (i64 b = 0; b < blocks; b++) {
    const KeyBlock block = block_at(s, b);
    const i64 keys = visible(s, block, j0 + queries - 1), columns = round_up(keys, tile_nr);
    if (keys == 0) break;
    for (i64 n = 0; n < columns; n += tile_nr) {
      const i64 width = keys - n < tile_nr ? keys - n : tile_nr;
      pack_panel<tile_nr>(block_packed + n * a.D, k + (block.start + n) * stride + kv * a.D, stride, 1, width, a.D);
    }
    scores_of(scores, q, block_packed, s.query_start + j0, rows, padded, columns, a.G, a.H, a.D, kv);
    for (i64 r = 0; r < rows; r++) {
      const float shrink = soften(scores + r * key_block, visible(s, block, j0 + r / a.G), a.scale, max[r], total[r]);
      if (shrink != 1.0f)
        for (i64 d = 0; d < wide; d += W) store(sums + r * wide + d, load(sums + r * wide + d) * shrink);
    }
    for (i64 d = 0; d < wide; d += tile_nr)
      pack_panel<tile_nr>(block_packed + d * keys, v + block.start * stride + kv * a.D + d, 1, stride,
                          a.D - d < tile_nr ? a.D - d : tile_nr, keys);
    tile_product<Into::add, key_block, 1>(sums, wide, scores, tile_mr * key_block, block_packed, padded, wide, keys);
  }
  for (i64 r = 0; r < rows; r++) {
    const i64 head = (s.query_start + j0 + r / a.G) * a.H + kv * a.G + r % a.G;
    const float inverse = 1.0f / total[r];
    for (i64 d = 0; d < a.D; d += W) {
      const i64 count = a.D - d < W ? a.D - d : W;
      store_some(out + head * a.D + d, load_some(sums + r * wide + d, count) * inverse, count);
    }
    lse[head] = max[r] + logf(total[r]);
  }
}

}  // namespace

void attention(Context& c, float* out, float* lse, const float* q, const float* k, const float* v, const int32_t* segments, i64 S, i64 H,
               i64 K, i64 D, float scale) {
  const Shape a{H, K, D, H / K, scale};
  const i64 per_tile = queries_per_tile(a.G);
  // A tile a task, the last queries of a segment first: they see the most keys.
  i64* first = reinterpret_cast<i64*>(c.scratch(Slot::tasks, 2 * (S + 1)));
  i64 tiles = 0, longest = 0;
  for (i64 s = 0; s < S; s++) {
    const Segment segment = segment_at(segments, s);
    first[s] = tiles;
    // Rows too few to pay for packing the keys go one by one.
    tiles += segment.query_length * a.G <= tile_mr ? segment.query_length > 0 : (segment.query_length + per_tile - 1) / per_tile;
    const i64 keys = segment.prefix_length + segment.key_length;
    longest = keys > longest ? keys : longest;
  }
  first[S] = tiles;
  const i64 padded = round_up(per_tile * a.G, tile_mr), wide = round_up(D, tile_nr);
  i64 each = key_block * wide + padded * key_block + padded * wide + 2 * padded + 8 * W;
  each = round_up(each > longest + W ? each : longest + W, 16);
  float* scratch = c.scratch(Slot::workers, each * c.pool.threads());
  parallel(c, tiles * K, [&](i64 task, int worker) {
    const i64 kv = task % K, tile = task / K;
    i64 low = 0, high = S;  // the segment with first[low] ≤ tile < first[low + 1]
    while (high - low > 1) {
      const i64 middle = (low + high) / 2;
      (first[middle] <= tile ? low : high) = middle;
    }
    const Segment s = segment_at(segments, low);
    if (s.query_length * a.G <= tile_mr)
      attend_few(out, lse, q, k, v, s, a, kv, scratch + worker * each);
    else
      attend_tile(out, lse, q, k, v, s, a, kv, (first[low + 1] - 1 - tile) * per_tile, scratch + worker * each);
  });
}

}  // namespace attune::ATTUNE_ISA
