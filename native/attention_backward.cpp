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
  float *keys_t, *values_t, *keys;        // kᵀ, vᵀ: panels of (D, tile_nr); k: panels of (keys, tile_nr)
  float *queries_b, *douts_b;             // panels of (rows, tile_nr)
  float *scores, *dscores;                // (rows, key_block)
  float *dquery, *dkeys, *dvalues;        // (rows, wide), (key_block, wide), (key_block, wide)
};

/// Lays the arrays out from `base`; returns the floats they take.
i64 lay_out(Scratch& s, float* base, i64 padded, i64 D, i64 wide) {
  i64 at = 0;
  const auto take = [&](i64 floats) {
    float* p = base + at;
    at += round_up(floats + 2 * W, 16);
    return p;
  };
  s.keys_t = take(key_block * D);
  s.values_t = take(key_block * D);
  s.keys = take(key_block * wide);
  s.queries_b = take(padded * wide);
  s.douts_b = take(padded * wide);
  s.scores = take((padded + 1) * key_block);
  s.dscores = take((padded + 1) * key_block);
  s.dquery = take(padded * wide);
  s.dkeys = take(key_block * wide);
  s.dvalues = take(key_block * wide);
  return at;
}

/// Packs a tile's rows as the right operand of a product over rows: panels of (rows, tile_nr).
void pack_right(float* out, const float* x, i64 first, i64 rows, const Shape& a, i64 kv) {
  const i64 wide = round_up(a.D, tile_nr);
  for (i64 r = 0; r < rows; r++) {
    const float* from = x + row_offset(first, r, a.G, a.H, a.D, kv);
    for (i64 n = 0; n < wide; n += W) {
      const i64 left = a.D - n;
      store(out + n / tile_nr * tile_nr * rows + r * tile_nr + n % tile_nr, left <= 0 ? vf{} : load_some(from + n, left < W ? left : W));
    }
  }
}

void add_rows(float* to, i64 stride, const float* from, i64 wide, i64 rows, i64 D, float scale) {
  for (i64 r = 0; r < rows; r++)
    for (i64 d = 0; d < D; d += W) {
      const i64 count = D - d < W ? D - d : W;
      float* p = to + r * stride + d;
      store_some(p, load_some(p, count) + load_some(from + r * wide + d, count) * scale, count);
    }
}

/// Which key blocks and which queries of a segment: gradients of the keys (dk, dv), of the queries (dq), or both.
struct Part {
  i64 block_begin, block_end, query_begin, query_end;
};

template <bool of_keys, bool of_queries>
void segment_backward(const Tensors& t, const Segment& s, const Shape& a, i64 kv, const Part& part, const Scratch& w) {
  const i64 per_tile = queries_per_tile(a.G);
  const i64 wide = round_up(a.D, tile_nr), stride = a.K * a.D;
  for (i64 b = part.block_begin; b < part.block_end; b++) {
    const KeyBlock block = block_at(s, b);
    if (visible(s, block, part.query_end - 1) == 0) break;
    const i64 offset = block.start * stride + kv * a.D;
    for (i64 n = 0; n < block.length; n += tile_nr) {
      const i64 width = block.length - n < tile_nr ? block.length - n : tile_nr;
      pack_panel<tile_nr>(w.keys_t + n * a.D, t.k + offset + n * stride, stride, 1, width, a.D);
      pack_panel<tile_nr>(w.values_t + n * a.D, t.v + offset + n * stride, stride, 1, width, a.D);
    }
    if (of_queries)
      for (i64 d = 0; d < wide; d += tile_nr)
        pack_panel<tile_nr>(w.keys + d * block.length, t.k + offset + d, 1, stride, a.D - d < tile_nr ? a.D - d : tile_nr, block.length);
    if (of_keys) {
      memset(w.dkeys, 0, static_cast<size_t>(key_block * wide) * sizeof(float));
      memset(w.dvalues, 0, static_cast<size_t>(key_block * wide) * sizeof(float));
    }
    for (i64 j0 = part.query_begin; j0 < part.query_end; j0 += per_tile) {
      const i64 queries = s.query_length - j0 < per_tile ? s.query_length - j0 : per_tile;
      const i64 keys = visible(s, block, j0 + queries - 1), columns = round_up(keys, tile_nr);
      if (keys == 0) continue;
      const i64 rows = queries * a.G, padded = round_up(rows, tile_mr), first = s.query_start + j0;
      scores_of(w.scores, t.q, w.keys_t, first, rows, padded, columns, a.G, a.H, a.D, kv);
      scores_of(w.dscores, t.dout, w.values_t, first, rows, padded, columns, a.G, a.H, a.D, kv);
      for (i64 r = 0; r < rows; r++) {
        const i64 head = (first + r / a.G) * a.H + kv * a.G + r % a.G;
        const vf delta = broadcast(t.delta[head]), base = broadcast(t.lse[head]);
        float* scores = w.scores + r * key_block;
        float* dscores = w.dscores + r * key_block;
        for (i64 i = 0; i < columns; i += W) {
          const vf p = vexp(load(scores + i) * a.scale - base);
          store(scores + i, p);
          store(dscores + i, p * (load(dscores + i) - delta));
        }
        for (i64 i = visible(s, block, j0 + r / a.G); i < columns; i++) scores[i] = dscores[i] = 0;
      }
      if (of_keys) {
        pack_right(w.queries_b, t.q, first, rows, a, kv);
        pack_right(w.douts_b, t.dout, first, rows, a, kv);
        tile_product<Into::add, 1, key_block>(w.dvalues, wide, w.scores, tile_mr, w.douts_b, round_up(keys, tile_mr), wide, rows);
        tile_product<Into::add, 1, key_block>(w.dkeys, wide, w.dscores, tile_mr, w.queries_b, round_up(keys, tile_mr), wide, rows);
      }
      if (of_queries) {
        // The panels of w.keys are as deep as the block; keys out of sight have dscores 0.
        for (i64 r = 0; r < padded; r++)
          for (i64 i = columns; i < block.length; i++) w.dscores[r * key_block + i] = 0;
        tile_product<Into::write, key_block, 1>(w.dquery, wide, w.dscores, tile_mr * key_block, w.keys, padded, wide, block.length);
        for (i64 j = 0; j < queries; j++)
          add_rows(t.dq + row_offset(first, j * a.G, a.G, a.H, a.D, kv), a.D, w.dquery + j * a.G * wide, wide, a.G, a.D, a.scale);
      }
    }
    if (of_keys) {
      add_rows(t.dk + offset, stride, w.dkeys, wide, block.length, a.D, a.scale);
      add_rows(t.dv + offset, stride, w.dvalues, wide, block.length, a.D, 1.0f);
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
  const i64 padded = round_up(queries_per_tile(a.G) * a.G, tile_mr), wide = round_up(D, tile_nr);
  Scratch measure;
  const i64 each = lay_out(measure, nullptr, padded, D, wide);
  float* scratch = c.scratch(Slot::workers, each * c.pool.threads());
  for (i64 s = 0; s < S; s++) parent[s] = root_of(parent, s);
  const auto scratch_of = [&](int worker) {
    Scratch mine;
    lay_out(mine, scratch + worker * each, padded, D, wide);
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
