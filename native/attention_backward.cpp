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

/// A tile's rows one behind the other, to be the right operand of a product over rows.
void copy_rows(float* out, const float* x, i64 first, i64 rows, const Shape& a, i64 kv) {
  for (i64 r = 0; r < rows; r++) {
    const float* from = x + row_offset(first, r, a.G, a.H, a.D, kv);
    for (i64 d = 0; d < a.D; d += W) {
      const i64 count = a.D - d < W ? a.D - d : W;
      store_some(out + r * a.D + d, load_some(from + d, count), count);
    }
  }
}

/// dscores = P ∘ (dP − delta), scores = P, in place of S and dP; keys a row does not see give 0.
template <bool masked>
ATTUNE_INLINE void differentiate(float* scores, float* dscores, i64 ld, i64 keys, vi seen, float scale, vf lse, vf delta) {
  for (i64 i = 0; i < keys; i++) {
    vf p = vexp(load(scores + i * ld) * scale - lse);
    if (masked) p = broadcast_int(static_cast<int32_t>(i)) < seen ? p : vf{};
    store(scores + i * ld, p);
    vf ds = p * (load(dscores + i * ld) - delta);
    if (masked) ds = broadcast_int(static_cast<int32_t>(i)) < seen ? ds : vf{};
    store(dscores + i * ld, ds);
  }
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
      fetch_block(t.k + kv * a.D, block, stride, a.D);
      fetch_block(t.v + kv * a.D, block, stride, a.D);
      if (of_keys) fetch_block(t.dv + kv * a.D, block, stride, a.D);
      if (of_keys) fetch_block(t.dk + kv * a.D, block, stride, a.D);
    }
    pack_turned(w.queries_t, t.q, first, rows, padded, a.G, a.H, a.D, kv);
    pack_turned(w.douts_t, t.dout, first, rows, padded, a.G, a.H, a.D, kv);
    for (i64 r = 0; r < padded; r++) {
      const i64 last = r < rows ? r : rows - 1, head = (first + last / a.G) * a.H + kv * a.G + last % a.G;
      w.lse[r] = t.lse[head];
      w.delta[r] = t.delta[head];
    }
    if (of_keys) {
      copy_rows(w.queries, t.q, first, rows, a, kv);
      copy_rows(w.douts, t.dout, first, rows, a, kv);
    }
    if (of_queries) memset(w.dquery, 0, static_cast<size_t>(padded * wide) * sizeof(float));
    for (i64 b = part.block_begin; b < part.block_end; b++) {
      const KeyBlock block = block_at(s, b);
      const i64 keys = visible(s, block, j0 + queries - 1), offset = block.start * stride + kv * a.D;
      if (keys == 0) break;
      turned_scores(w.scores, t.k + offset, stride, w.queries_t, keys, padded, a.D);
      turned_scores(w.dscores, t.v + offset, stride, w.douts_t, keys, padded, a.D);
      const bool all = visible(s, block, j0) == keys;
      for (i64 r = 0; r < padded; r += W) {
        const vf lse = load(w.lse + r), delta = load(w.delta + r);
        if (all)
          differentiate<false>(w.scores + r, w.dscores + r, padded, keys, vi{}, a.scale, lse, delta);
        else
          differentiate<true>(w.scores + r, w.dscores + r, padded, keys, lanes_visible(s, block, j0, r, a.G), a.scale, lse, delta);
      }
      if (of_keys) {
        free_product<Into::add, false>(t.dv + offset, stride, w.scores, padded, w.douts, a.D, keys, a.D, rows);
        free_product<Into::add, false>(t.dk + offset, stride, w.dscores, padded, w.queries, a.D, keys, a.D, rows, a.scale);
      }
      if (of_queries) free_product<Into::add, true>(w.dquery, wide, w.dscores, padded, t.k + offset, stride, rows, a.D, keys);
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
    for (i64 head = segment.query_start * H; head < (segment.query_start + segment.query_length) * H; head++) {
      vf dot = {};
      for (i64 d = 0; d < D; d += W) {
        const i64 count = D - d < W ? D - d : W;
        dot = load_some(dout + head * D + d, count) * load_some(out + head * D + d, count) + dot;
      }
      delta[head] = sum(dot);
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
