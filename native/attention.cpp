// Causal attention over packed segments, forward: tiled with an online softmax, as FlashAttention (Dao et al. 2022) does.
// Scores never leave a tile. A task owns the output of some queries of one key head: the cut changes no sum.
#include "attention.h"

namespace attune::ATTUNE_ISA {

namespace {

struct Shape {
  i64 H, K, D, G;
  float scale;
};

constexpr int most_heads = W < 16 ? 2 : 4;  // that go over keys and values together

/// scores(R, ld) = scale · q(R,D) · keysᵀ, W / R keys at a time. Room for W scores past the end is written, too. Keys and values are asked for
/// ahead, since the weights of a step went through the caches: 8 sequences of 70 keys at M took 121 µs a layer, and take 79 (one thread).
template <int R>
ATTUNE_INLINE void scores_few(float* scores, i64 ld, const float* q, const float* k, const float* v, i64 keys, i64 stride, i64 D, float scale) {
  constexpr int P = W / R;
  for (i64 i = 0; i < keys; i += P) {
    const float* key[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
      key[p] = k + (i + p < keys ? i + p : keys - 1) * stride;
      fetch_row<When::soon>(key[p] + 32 * stride, D);
      fetch_row<When::soon>(v + (key[p] - k), D);
    }
    vf acc[W] = {};
    const auto add = [&](auto get, i64 d) {
      vf query[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) query[r] = get(q + r * D + d);
#pragma GCC unroll 16
      for (int p = 0; p < P; p++) {
        const vf x = get(key[p] + d);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) acc[r * P + p] = query[r] * x + acc[r * P + p];
      }
    };
    i64 d = 0;
    for (; d + W <= D; d += W) add([](const float* from) { return load(from); }, d);
    if (d < D) add([&](const float* from) { return load_some(from, D - d); }, d);
    float all[W];
    store(all, sums<W / 2>(acc) * scale);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) memcpy(scores + r * ld + i, all + r * P, P * sizeof(float));
  }
}

/// acc(R, NV) += scores(R, ld) · values; the last vector is `count` floats wide.
template <int R, int NV>
ATTUNE_INLINE void mix_few(vf (&acc)[R][NV], const float* scores, i64 ld, const float* v, i64 keys, i64 stride, i64 count) {
  for (i64 i = 0; i < keys; i++, v += stride) {
    vf value[NV];
#pragma GCC unroll 4
    for (int n = 0; n < NV; n++) value[n] = n == NV - 1 ? load_some(v + n * W, count) : load(v + n * W);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const vf p = broadcast(scores[r * ld + i]);
#pragma GCC unroll 4
      for (int n = 0; n < NV; n++) acc[r][n] = p * value[n] + acc[r][n];
    }
  }
}

/// R heads of one query, which share their keys: these are read once, as they lie, without packing.
template <int R>
void attend_heads(float* out, float* lse, const float* q, const float* k, const float* v, const Segment& s, i64 own, const Shape& a, float* scores) {
  const i64 stride = a.K * a.D, keys = s.prefix_length + own, ld = keys + W;
  scores_few<R>(scores, ld, q, k + s.prefix_start * stride, v + s.prefix_start * stride, s.prefix_length, stride, a.D, a.scale);
  scores_few<R>(scores + s.prefix_length, ld, q, k + s.key_start * stride, v + s.key_start * stride, own, stride, a.D, a.scale);
  float inverse[R];
  for (int r = 0; r < R; r++) {
    float* row = scores + r * ld;
    vf top = broadcast(row[0]);
    i64 i = 0;
    for (; i + W <= keys; i += W) top = vmax(load(row + i), top);
    float max = max_lane(top);
    for (; i < keys; i++) max = row[i] > max ? row[i] : max;
    const vf base = broadcast(max);
    vf total = {};
    for (i = 0; i < keys; i += W) {
      const i64 count = keys - i < W ? keys - i : W;
      vf p = vexp(load_some(row + i, count) - base);
      for (i64 l = count; l < W; l++) p[l] = 0;
      store_some(row + i, p, count);
      total += p;
    }
    const float whole = sum(total);
    inverse[r] = 1.0f / whole;
    lse[r] = max + logf(whole);
  }
  const auto mix = [&]<int NV>(i64 d, i64 count) {
    vf acc[R][NV] = {};
    mix_few<R, NV>(acc, scores, ld, v + s.prefix_start * stride + d, s.prefix_length, stride, count);
    mix_few<R, NV>(acc, scores + s.prefix_length, ld, v + s.key_start * stride + d, own, stride, count);
    for (int r = 0; r < R; r++)
      for (int n = 0; n < NV; n++) store_some(out + r * a.D + d + n * W, acc[r][n] * inverse[r], n == NV - 1 ? count : W);
  };
  i64 d = 0;
  for (; d + 4 * W <= a.D; d += 4 * W) mix.template operator()<4>(d, W);
  for (; d < a.D; d += W) mix.template operator()<1>(d, a.D - d < W ? a.D - d : W);
}

/// Few rows (decoding): query by query, a few heads of it together.
void attend_few(float* out, float* lse, const float* q, const float* k, const float* v, const Segment& s, const Shape& a, i64 kv, float* scores) {
  k += kv * a.D, v += kv * a.D;
  for (i64 j = 0; j < s.query_length; j++) {
    const i64 own = s.key_length - s.query_length + j + 1;
    const i64 head = (s.query_start + j) * a.H + kv * a.G;
    const auto attend = [&]<int R>(i64 g) {
      attend_heads<R>(out + (head + g) * a.D, lse + head + g, q + (head + g) * a.D, k, v, s, own, a, scores);
    };
    i64 g = 0;
    for (; g + most_heads <= a.G; g += most_heads) attend.template operator()<most_heads>(g);
    if (a.G - g == 3) attend.template operator()<3>(g);
    if (a.G - g == 2) attend.template operator()<2>(g);
    if (a.G - g == 1) attend.template operator()<1>(g);
  }
}

/// One step of the online softmax for W rows, a lane each: exponentials in place of scores; returns what earlier sums shrink by.
ATTUNE_INLINE vf soften(float* scores, i64 ld, const Lanes& lanes, vf& max, vf& total) {
  const i64 sure = lanes.sure, keys = lanes.keys;
  const vf none = broadcast(-INFINITY);
  const auto masked = [&](i64 i) { return broadcast_int(static_cast<int32_t>(i)) < lanes.seen ? load(scores + i * ld) : none; };
  vf top = max, other = none;  // two chains: the comparison's latency is as long as two of them
  i64 i = 0;
  for (; i + 2 <= sure; i += 2) {
    top = vmax(load(scores + i * ld), top);
    other = vmax(load(scores + (i + 1) * ld), other);
  }
  if (i < sure) top = vmax(load(scores + i++ * ld), top);
  for (; i < keys; i++) top = vmax(masked(i), top);
  top = vmax(other, top);
  vf sums = {};
  const auto keep = [&](i64 at, vf score) {
    const vf p = vexp(score - top);
    store(scores + at * ld, p);
    sums += p;
  };
#pragma GCC unroll 4
  for (i = 0; i < sure; i++) keep(i, load(scores + i * ld));
  for (; i < keys; i++) keep(i, masked(i));
  const vf shrink = vexp(max - top);
  max = top;
  total = total * shrink + sums;
  return shrink;
}

void attend_tile(float* out, float* lse, const float* q, const float* k, const float* v, const Segment& s, const Shape& a, i64 kv, i64 j0,
                 float* scratch) {
  const i64 per_tile = queries_per_tile(a.G);
  const i64 queries = s.query_length - j0 < per_tile ? s.query_length - j0 : per_tile;
  const i64 rows = queries * a.G, padded = round_up(rows, tile_nr), wide = round_up(a.D, W);
  const i64 stride = a.K * a.D;
  float* turned = scratch;                     // q: panels of (D, tile_nr)
  float* scores = turned + padded * a.D;       // (key_block, tile_nr), of one panel at a time
  float* sums = scores + key_block * tile_nr;  // (padded, wide)
  float* max = sums + padded * wide;           // (padded)
  float* total = max + padded;                 // (padded)
  float* shrink = total + padded;              // (padded)

  for (i64 r = 0; r < padded; r++) max[r] = -INFINITY, total[r] = 0;
  memset(sums, 0, static_cast<size_t>(padded * wide) * sizeof(float));
  pack_turned(turned, q, s.query_start + j0, rows, padded, a.G, a.H, a.D, kv, a.scale);

  const i64 blocks = block_count(s.prefix_length) + block_count(s.key_length);
  for (i64 b = 0; b < blocks; b++) {
    const KeyBlock block = block_at(s, b);
    const View view{s, block, j0, rows, a.G};
    if (view.keys(rows - 1) == 0) break;
    if (b == 0) fetch_block<When::soon>(k + kv * a.D, block, stride, a.D);
    fetch_block<When::soon>(v + kv * a.D, block, stride, a.D);
    if (b + 1 < blocks) fetch_block<When::soon>(k + kv * a.D, block_at(s, b + 1), stride, a.D);
    for (i64 n = 0; n < padded; n += tile_nr) {
      const i64 keys = view.keys(n + tile_nr - 1);
      turned_scores(scores, tile_nr, k + block.start * stride + kv * a.D, stride, turned + n * a.D, view.keys(n + W - 1), keys, a.D);
      for (i64 r = n; r < n + tile_nr; r += W) {
        vf top = load(max + r), sum_of = load(total + r);
        store(shrink + r, soften(scores + (r - n), tile_nr, lanes_at(view, r), top, sum_of));
        store(max + r, top);
        store(total + r, sum_of);
      }
      const i64 count = rows - n < tile_nr ? rows - n : tile_nr;
      add_product<true>(sums + n * wide, wide, scores, tile_nr, v + block.start * stride + kv * a.D, stride, count, a.D,
                        [&](i64 m) { return Depth{0, view.keys(n + m + tile_mr - 1)}; }, [&](i64 m) { return shrink[n + m]; });
    }
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
  const i64 padded = round_up(per_tile * a.G, tile_nr), wide = round_up(D, W);
  i64 each = padded * (D + wide + 3) + key_block * tile_nr + 8 * W;
  const i64 few = most_heads * (longest + W);
  each = round_up(each > few ? each : few, 16);
  float* scratch = c.scratch(Slot::workers, each * c.pool.threads());
  struct Place {
    Segment s;
    i64 kv, j0;
    bool few;
  };
  const auto place_of = [&](i64 task) {
    const i64 tile = task / K;
    i64 low = 0, high = S;  // the segment with first[low] ≤ tile < first[low + 1]
    while (high - low > 1) {
      const i64 middle = (low + high) / 2;
      (first[middle] <= tile ? low : high) = middle;
    }
    const Segment s = segment_at(segments, low);
    return Place{s, task % K, (first[low + 1] - 1 - tile) * per_tile, s.query_length * a.G <= tile_mr};
  };
  parallel(c, tiles * K, [&](i64 task, int worker) {
    const Place p = place_of(task);
    if (p.few) return attend_few(out, lse, q, k, v, p.s, a, p.kv, scratch + worker * each);
    // Most likely this worker's next task: its queries and first keys come meanwhile.
    if (task + 1 < tiles * K) {
      const Place next = place_of(task + 1);
      fetch_queries(q, next.s.query_start + next.j0, least(per_tile, next.s.query_length - next.j0), a.G, H, D, next.kv);
      fetch_block<When::later>(k + next.kv * D, block_at(next.s, 0), K * D, D);
    }
    attend_tile(out, lse, q, k, v, p.s, a, p.kv, p.j0, scratch + worker * each);
  });
}

}  // namespace attune::ATTUNE_ISA
