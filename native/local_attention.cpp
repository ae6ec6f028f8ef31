// Causal attention with a window and a soft cap on scores (Mistral, Gemma 2 and 3, Phi-3), forward and backward, row by row.
// Not tiled: attention.cpp is the fast road, which ops take wherever neither window nor cap says otherwise.
// A task owns the output of one query (or one block of keys, for dk and dv) and one key head: the cut changes no sum.
#include "attention.h"

namespace attune::ATTUNE_ISA {

namespace {

struct Local {
  i64 H, K, D, G, window;  // window 0: all keys before
  float scale, cap;        // cap 0: none
};

ATTUNE_INLINE float dot(const float* a, const float* b, i64 D) {
  vf acc = {};
  i64 d = 0;
  for (; d + W <= D; d += W) acc = load(a + d) * load(b + d) + acc;
  if (d < D) acc = load_some(a + d, D - d) * load_some(b + d, D - d) + acc;
  return sum(acc);
}

/// out += alpha · x
ATTUNE_INLINE void add_scaled(float* out, const float* x, float alpha, i64 D) {
  const vf a = broadcast(alpha);
  i64 d = 0;
  for (; d + W <= D; d += W) store(out + d, a * load(x + d) + load(out + d));
  if (d < D) store_some(out + d, a * load_some(x + d, D - d) + load_some(out + d, D - d), D - d);
}

/// A score and its slope by q · k.
struct Score {
  float value, slope;
};
ATTUNE_INLINE Score score_of(float product, const Local& a) {
  const float scaled = product * a.scale;
  if (a.cap == 0) return {scaled, a.scale};
  const float t = tanhf(scaled / a.cap);
  return {a.cap * t, a.scale * (1.0f - t * t)};
}

/// Query j of a segment sees the keys [first, last] of its sequence, prefix and own counted on.
struct Range {
  i64 first, last;
};
ATTUNE_INLINE Range seen_by(const Segment& s, i64 j, i64 window) {
  const i64 last = s.prefix_length + s.key_length - s.query_length + j;
  return {window > 0 && last - window + 1 > 0 ? last - window + 1 : 0, last};
}
ATTUNE_INLINE i64 key_row(const Segment& s, i64 place) {
  return place < s.prefix_length ? s.prefix_start + place : s.key_start + place - s.prefix_length;
}

/// The segment a query counted over all segments lies in, and which of its queries it is.
struct Query {
  i64 segment, j;
};
ATTUNE_INLINE Query query_at(const int32_t* segments, i64 index) {
  i64 s = 0;
  for (; index >= segment_at(segments, s).query_length; s++) index -= segment_at(segments, s).query_length;
  return {s, index};
}

i64 count_queries(const int32_t* segments, i64 S) {
  i64 queries = 0;
  for (i64 s = 0; s < S; s++) queries += segment_at(segments, s).query_length;
  return queries;
}

}  // namespace

void local_attention(Context& c, float* out, float* lse, const float* q, const float* k, const float* v, const int32_t* segments, i64 S, i64 H,
                     i64 K, i64 D, float scale, i64 window, float cap) {
  const Local a{H, K, D, H / K, window, scale, cap};
  i64 longest = 1;
  for (i64 s = 0; s < S; s++) {
    const Segment segment = segment_at(segments, s);
    const i64 keys = segment.prefix_length + segment.key_length;
    longest = keys > longest ? keys : longest;
  }
  const i64 each = round_up(longest, 16);
  float* scratch = c.scratch(Slot::workers, each * c.pool.threads());
  parallel(c, count_queries(segments, S) * K, [&](i64 task, int worker) {
    const i64 kv = task % K;
    const Query query = query_at(segments, task / K);
    const Segment s = segment_at(segments, query.segment);
    const Range seen = seen_by(s, query.j, a.window);
    float* p = scratch + worker * each;
    for (i64 g = 0; g < a.G; g++) {
      const i64 head = (s.query_start + query.j) * H + kv * a.G + g;
      float max = -INFINITY;
      for (i64 place = seen.first; place <= seen.last; place++) {
        const float score = score_of(dot(q + head * D, k + (key_row(s, place) * K + kv) * D, D), a).value;
        p[place - seen.first] = score;
        max = score > max ? score : max;
      }
      const i64 keys = seen.last - seen.first + 1;
      float total = 0;
      for (i64 i = 0; i < keys; i++) {
        p[i] = vexp(p[i] - max);
        total += p[i];
      }
      float* row = out + head * D;
      memset(row, 0, static_cast<size_t>(D) * sizeof(float));
      for (i64 i = 0; i < keys; i++) add_scaled(row, v + (key_row(s, seen.first + i) * K + kv) * D, p[i] / total, D);
      lse[head] = max + logf(total);
    }
  });
}

void local_attention_backward(Context& c, float* dq, float* dk, float* dv, const float* dout, const float* out, const float* lse, const float* q,
                              const float* k, const float* v, const int32_t* segments, i64 S, i64 H, i64 K, i64 D, float scale, i64 window,
                              float cap) {
  const Local a{H, K, D, H / K, window, scale, cap};
  // dScore = p · (dp − Σ p·dp), and Σ p·dp = dout · out.
  const auto pair = [&](i64 head, const float* key, const float* value, float& p, float& d_product) {
    const Score score = score_of(dot(q + head * D, key, D), a);
    p = vexp(score.value - lse[head]);
    d_product = p * (dot(dout + head * D, value, D) - dot(dout + head * D, out + head * D, D)) * score.slope;
  };
  parallel(c, count_queries(segments, S) * K, [&](i64 task, int) {
    const i64 kv = task % K;
    const Query query = query_at(segments, task / K);
    const Segment s = segment_at(segments, query.segment);
    const Range seen = seen_by(s, query.j, a.window);
    for (i64 g = 0; g < a.G; g++) {
      const i64 head = (s.query_start + query.j) * H + kv * a.G + g;
      for (i64 place = seen.first; place <= seen.last; place++) {
        const i64 key = (key_row(s, place) * K + kv) * D;
        float p, d_product;
        pair(head, k + key, v + key, p, d_product);
        add_scaled(dq + head * D, k + key, d_product, D);
      }
    }
  });
  i64 rows = 0;
  for (i64 s = 0; s < S; s++) {
    const Segment segment = segment_at(segments, s);
    const i64 own = segment.key_length > 0 ? segment.key_start + segment.key_length : 0;
    const i64 prefix = segment.prefix_length > 0 ? segment.prefix_start + segment.prefix_length : 0;
    rows = rows > own ? rows : own;
    rows = rows > prefix ? rows : prefix;
  }
  const i64 blocks = block_count(rows);
  parallel(c, blocks * K, [&](i64 task, int) {
    const i64 kv = task % K, begin = task / K * key_block, end = begin + key_block;
    for (i64 index = 0; index < S; index++) {
      const Segment s = segment_at(segments, index);
      const auto gather = [&](i64 start, i64 length, i64 offset) {
        const i64 from = begin > start ? begin : start, to = end < start + length ? end : start + length;
        if (from >= to) return;
        for (i64 j = 0; j < s.query_length; j++) {
          const Range seen = seen_by(s, j, a.window);
          const i64 first = from - start + offset > seen.first ? from - start + offset : seen.first;
          const i64 last = to - 1 - start + offset < seen.last ? to - 1 - start + offset : seen.last;
          for (i64 place = first; place <= last; place++) {
            const i64 key = ((place - offset + start) * K + kv) * D;
            for (i64 g = 0; g < a.G; g++) {
              const i64 head = (s.query_start + j) * H + kv * a.G + g;
              float p, d_product;
              pair(head, k + key, v + key, p, d_product);
              add_scaled(dk + key, q + head * D, d_product, D);
              add_scaled(dv + key, dout + head * D, p, D);
            }
          }
        }
      };
      gather(s.prefix_start, s.prefix_length, 0);
      gather(s.key_start, s.key_length, s.prefix_length);
    }
  });
}

}  // namespace attune::ATTUNE_ISA
