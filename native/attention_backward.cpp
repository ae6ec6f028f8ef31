// Causal attention over packed segments, backward: scores are recomputed tile by tile from q, k and the kept log-sum-exp.
//   P = e^(S − lse), dV += Pᵀ dO, dP = dO Vᵀ, dS = P ∘ (dP − Σ dO ∘ O), dQ += dS K · scale, dK += dSᵀ Q · scale
// A task owns one key head of one group of segments that share keys, so that a shared prefix gathers in order of s. Where such
// tasks are too few for the threads, segments go one by one, and a task owns some keys or some queries of one: scores are then
// computed twice, but every sum keeps its order, so the bits are the same.
#include "attention.h"

namespace attune::ATTUNE_ISA {

namespace {

struct Shape {
  i64 H, K, D, G;
  float scale;
};

struct Tensors {
  float *dq, *dk, *dv;
  const float *dout, *lse, *q, *k, *v;
  const float* delta;  // (Nq, H): Σ dO ∘ O
};

struct Scratch {
  float *queries_t, *douts_t;    // a tile's rows turned: panels of (D, tile_nr)
  float *queries, *douts;        // the same rows one behind the other, (rows, D)
  float *scores, *dscores;       // (key_block, padded)
  float *lse, *delta;            // (padded)
  float *dquery;                 // (padded, wide)
};

/// Lays the arrays out from `base`; returns the floats they take.
i64 lay_out(Scratch& s, float* base, i64 padded, i64 D) {
  i64 at = 0;
  const auto take = [&](i64 floats) {
    float* p = base + at;
    at += round_up(floats + 2 * W, 16);
    return p;
  };
  s.queries_t = take(padded * D);
  s.douts_t = take(padded * D);
  s.queries = take(padded * D);
  s.douts = take(padded * D);
  s.scores = take(key_block * padded);
  s.dscores = take(key_block * padded);
  s.lse = take(padded);
  s.delta = take(padded);
  s.dquery = take(padded * round_up(D, W));
  return at;
}

/// A tile's rows one behind the other and scaled, to be the right operand of a product over rows.
void copy_rows(float* out, const float* x, i64 first, i64 rows, const Shape& a, i64 kv, float scale) {
  for (i64 r = 0; r < rows; r++) {
    const float* from = x + row_offset(first, r, a.G, a.H, a.D, kv);
    for (i64 d = 0; d < a.D; d += W) {
      const i64 count = a.D - d < W ? a.D - d : W;
      store_some(out + r * a.D + d, load_some(from + d, count) * scale, count);
    }
  }
}

/// dscores = P ∘ (dP − delta), scores = P, in place of S and dP. Keys that a lane does not see give 0, whatever lies there, up to a group's end.
ATTUNE_INLINE void differentiate(float* scores, float* dscores, i64 ld, const Lanes& lanes, vf lse, vf delta) {
  const auto at = [&](i64 i, auto mask) {
    const vf p = mask(vexp(load(scores + i * ld) - lse));
    store(scores + i * ld, p);
    store(dscores + i * ld, mask(p * (load(dscores + i * ld) - delta)));
  };
  i64 i = 0;
#pragma GCC unroll 4
  for (; i < lanes.sure; i++) at(i, [](vf x) { return x; });
  const i64 end = round_up(lanes.keys, tile_mr);
  for (; i < end; i++) at(i, [&](vf x) { return broadcast_int(static_cast<int32_t>(i)) < lanes.seen ? x : vf{}; });
}

/// Which key blocks and which queries of a segment: gradients of the keys (dk, dv), of the queries (dq), or both.
struct Part {
  i64 block_begin, block_end, query_begin, query_end;
};

template <bool of_keys, bool of_queries>
void segment_backward(const Tensors& t, const Segment& s, const Shape& a, i64 kv, const Part& part, const Scratch& w) {
  const i64 per_tile = queries_per_tile(a.G);
  const i64 wide = round_up(a.D, W), stride = a.K * a.D;
  for (i64 j0 = part.query_begin; j0 < part.query_end; j0 += per_tile) {
    const i64 queries = s.query_length - j0 < per_tile ? s.query_length - j0 : per_tile;
    const i64 rows = queries * a.G, padded = round_up(rows, tile_nr), first = s.query_start + j0;
    if (visible(s, block_at(s, part.block_begin), j0 + queries - 1) == 0) continue;
    for (i64 b = part.block_begin; b < part.block_end; b++) {  // blocks that no tile before has seen
      const KeyBlock block = block_at(s, b);
      if (visible(s, block, j0 + queries - 1) == 0) break;
      if (j0 > part.query_begin && visible(s, block, j0 - 1) > 0) continue;
      fetch_block<When::later>(t.k + kv * a.D, block, stride, a.D);
      fetch_block<When::later>(t.v + kv * a.D, block, stride, a.D);
      if (of_keys) fetch_block<When::later>(t.dv + kv * a.D, block, stride, a.D);
      if (of_keys) fetch_block<When::later>(t.dk + kv * a.D, block, stride, a.D);
    }
    if (j0 == part.query_begin)
      for (const float* x : {t.q, t.dout}) fetch_queries(x, first, queries, a.G, a.H, a.D, kv);
    pack_turned(w.queries_t, t.q, first, rows, padded, a.G, a.H, a.D, kv, a.scale);
    pack_turned(w.douts_t, t.dout, first, rows, padded, a.G, a.H, a.D, kv, 1.0f);
    for (i64 r = 0; r < padded; r++) {
      const i64 last = r < rows ? r : rows - 1, head = (first + last / a.G) * a.H + kv * a.G + last % a.G;
      w.lse[r] = t.lse[head];
      w.delta[r] = t.delta[head];
    }
    if (of_keys) {
      copy_rows(w.queries, t.q, first, rows, a, kv, a.scale);
      copy_rows(w.douts, t.dout, first, rows, a, kv, 1.0f);
    }
    if (of_queries) memset(w.dquery, 0, static_cast<size_t>(padded * wide) * sizeof(float));
    for (i64 b = part.block_begin; b < part.block_end; b++) {
      const KeyBlock block = block_at(s, b);
      const View view{s, block, j0, rows, a.G};
      const i64 keys = view.keys(rows - 1), offset = block.start * stride + kv * a.D;
      if (keys == 0) break;
      // Meanwhile what comes next: the next tile's rows, and where this one's gradients go.
      if (b == part.block_begin) {
        const i64 next = j0 + per_tile;
        for (const float* x : {t.q, t.dout}) fetch_queries(x, s.query_start + next, least(per_tile, part.query_end - next), a.G, a.H, a.D, kv);
        if (of_queries) fetch_queries(t.dq, first, queries, a.G, a.H, a.D, kv);
      }
      for (i64 n = 0; n < padded; n += tile_nr) {
        const i64 near = view.keys(n + W - 1), far = view.keys(n + tile_nr - 1);
        turned_scores(w.scores + n, padded, t.k + offset, stride, w.queries_t + n * a.D, near, far, a.D);
        turned_scores(w.dscores + n, padded, t.v + offset, stride, w.douts_t + n * a.D, near, far, a.D);
        for (i64 r = n; r < n + tile_nr; r += W)
          differentiate(w.scores + r, w.dscores + r, padded, lanes_at(view, r), load(w.lse + r), load(w.delta + r));
      }
      const auto as_it_is = [](i64) { return 1.0f; };
      // Scores that no query of a vector sees were not made: each key starts at the first vector that sees it.
      const auto from_key = [&](i64 i) { return Depth{view.first_row(i) / W * W, rows}; };
      if (of_keys) {
        add_product<false>(t.dv + offset, stride, w.scores, padded, w.douts, a.D, keys, a.D, from_key, as_it_is);
        add_product<false>(t.dk + offset, stride, w.dscores, padded, w.queries, a.D, keys, a.D, from_key, as_it_is);
      }
      if (of_queries)
        add_product<true>(w.dquery, wide, w.dscores, padded, t.k + offset, stride, rows, a.D,
                          [&](i64 m) { return Depth{0, view.keys(m + tile_mr - 1)}; }, as_it_is);
    }
    if (of_queries)
      for (i64 r = 0; r < rows; r++) {
        float* to = t.dq + row_offset(first, r, a.G, a.H, a.D, kv);
        for (i64 d = 0; d < a.D; d += W) {
          const i64 count = a.D - d < W ? a.D - d : W;
          store_some(to + d, load_some(to + d, count) + load_some(w.dquery + r * wide + d, count) * a.scale, count);
        }
      }
  }
}

struct Span {
  i64 begin, end, segment;
};

i64 root_of(i64* parent, i64 s) {
  while (parent[s] != s) s = parent[s] = parent[parent[s]];
  return s;
}

/// parent[s] = the first segment of the group s belongs to: segments whose keys overlap, directly or through others.
void group_segments(i64* parent, Span* spans, const int32_t* segments, i64 S) {
  i64 n = 0;
  for (i64 s = 0; s < S; s++) {
    const Segment segment = segment_at(segments, s);
    parent[s] = s;
    if (segment.prefix_length > 0) spans[n++] = {segment.prefix_start, segment.prefix_start + segment.prefix_length, s};
    if (segment.key_length > 0) spans[n++] = {segment.key_start, segment.key_start + segment.key_length, s};
  }
  // Shell sort by begin: S is a few hundred, and the standard library stays out of these files.
  for (i64 gap = n / 2; gap > 0; gap /= 2)
    for (i64 i = gap; i < n; i++) {
      const Span span = spans[i];
      i64 j = i;
      for (; j >= gap && spans[j - gap].begin > span.begin; j -= gap) spans[j] = spans[j - gap];
      spans[j] = span;
    }
  i64 end = 0, reaching = -1;  // the furthest end so far, and whose it is
  for (i64 i = 0; i < n; i++) {
    if (reaching >= 0 && spans[i].begin < end) {
      const i64 a = root_of(parent, reaching), b = root_of(parent, spans[i].segment);
      if (a < b) parent[b] = a;
      if (b < a) parent[a] = b;
    }
    if (reaching < 0 || spans[i].end > end) {
      end = spans[i].end;
      reaching = spans[i].segment;
    }
  }
}

}  // namespace

void attention_backward(Context& c, float* dq, float* dk, float* dv, const float* dout, const float* out, const float* lse, const float* q,
                        const float* k, const float* v, const int32_t* segments, i64 S, i64 H, i64 K, i64 D, float scale) {
  const Shape a{H, K, D, H / K, scale};
  i64 queries = 0;
  for (i64 s = 0; s < S; s++) {
    const Segment segment = segment_at(segments, s);
    const i64 end = segment.query_start + segment.query_length;
    queries = end > queries ? end : queries;
  }
  float* delta = c.scratch(Slot::rows, queries * H);
  parallel(c, S, [&](i64 s, int) {
    const Segment segment = segment_at(segments, s);
    const i64 end = (segment.query_start + segment.query_length) * H;
    for (i64 head = segment.query_start * H; head < end; head += W) {  // W heads at a time share the sums over lanes
      vf dots[W] = {};
      for (i64 i = 0; i < least(W, end - head); i++)
        for (i64 d = (head + i) * D; d < (head + i + 1) * D; d += W) {
          const i64 count = least(W, (head + i + 1) * D - d);
          __builtin_prefetch(out + d + 1024);  // written a whole forward ago
          __builtin_prefetch(dout + d + 1024);
          dots[i] = load_some(dout + d, count) * load_some(out + d, count) + dots[i];
        }
      store_some(delta + head, sums<W / 2>(dots), least(W, end - head));
    }
  });
  const Tensors t{dq, dk, dv, dout, lse, q, k, v, delta};
  i64* parent = reinterpret_cast<i64*>(c.scratch(Slot::tasks, 2 * (2 * S + 6 * S) + 16));
  i64* leaders = parent + S;
  group_segments(parent, reinterpret_cast<Span*>(parent + 2 * S), segments, S);
  i64 groups = 0;
  for (i64 s = 0; s < S; s++)
    if (root_of(parent, s) == s) leaders[groups++] = s;
  const i64 padded = round_up(queries_per_tile(a.G) * a.G, tile_nr);
  Scratch measure;
  const i64 each = lay_out(measure, nullptr, padded, D);
  float* scratch = c.scratch(Slot::workers, each * c.pool.threads());
  for (i64 s = 0; s < S; s++) parent[s] = root_of(parent, s);
  const auto scratch_of = [&](int worker) {
    Scratch mine;
    lay_out(mine, scratch + worker * each, padded, D);
    return mine;
  };
  const auto blocks_of = [](const Segment& s) { return block_count(s.prefix_length) + block_count(s.key_length); };

  // Products per tile: 5 together, 4 + 3 apart. Whichever ends first, were all groups of one size.
  const i64 threads = c.pool.threads(), tasks = groups * K;
  if (5 * ((tasks + threads - 1) / threads) * threads <= 7 * tasks) {
    parallel(c, tasks, [&](i64 task, int worker) {
      const i64 leader = leaders[task / K];
      for (i64 i = leader; i < S; i++) {
        if (parent[i] != leader) continue;
        const Segment s = segment_at(segments, i);
        segment_backward<true, true>(t, s, a, task % K, {0, blocks_of(s), 0, s.query_length}, scratch_of(worker));
      }
    });
    return;
  }
  const i64 per_tile = queries_per_tile(a.G);
  for (i64 i = 0; i < S; i++) {
    const Segment s = segment_at(segments, i);
    const i64 blocks = blocks_of(s), tiles = (s.query_length + per_tile - 1) / per_tile;
    parallel(c, (blocks + tiles) * K, [&](i64 task, int worker) {
      const i64 kv = task % K, part = task / K;
      if (part < blocks) {
        segment_backward<true, false>(t, s, a, kv, {part, part + 1, 0, s.query_length}, scratch_of(worker));
      } else {
        const i64 begin = (tiles - 1 - (part - blocks)) * per_tile;  // the last queries first: they see the most keys
        const i64 end = begin + per_tile < s.query_length ? begin + per_tile : s.query_length;
        segment_backward<false, true>(t, s, a, kv, {0, blocks, begin, end}, scratch_of(worker));
      }
    });
  }
}

}  // namespace attune::ATTUNE_ISA
