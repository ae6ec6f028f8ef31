// The LM head fused with log-softmax: logits live only as one (rows × vocabulary) chunk of scratch, in both directions, or in `kept`:
// blocks of row_chunk rows, each as its chunks of words one behind the other. Making them again would be a third of backward's products
// (at S 13 % of a whole step); writing and reading them is a tenth of that.
#include "gemm.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr i64 row_chunk = 512, most_words = 960;

/// Words of a chunk: V in equal parts of whole panels. Never 1024: rows 4 KiB apart share the sets of a cache, and products would copy them first.
ATTUNE_INLINE i64 words_of(i64 V) {
  const i64 chunks = (V + most_words - 1) / most_words;
  return round_up((V + chunks - 1) / chunks, 32);
}

ATTUNE_INLINE Operand rows_of(Weight w, i64 first, i64 C, bool transposed) {
  return transposed ? operand_of(w, first * C, 1, C) : operand_of(w, first * C, C, 1);
}

/// Where a block of logits goes: its place in `kept` while whole blocks of rows fit there, else scratch.
ATTUNE_INLINE bool is_kept(i64 m0, i64 rows, i64 V, i64 kept_length) { return (m0 + rows) * V <= kept_length; }

/// Running state of a row's softmax over the chunks seen: maximum, Σ e^(l − max), Σ e^(l − max)·l, the best id.
struct Running {
  float max, total, weighted;
  int32_t best;
};

ATTUNE_INLINE void absorb(Running& s, const float* logits, i64 count, i64 first, bool entropy) {
  vf top = broadcast(-INFINITY);
  i64 i = 0;
  for (; i + W <= count; i += W) top = vmax(load(logits + i), top);
  float max = max_lane(top);
  for (; i < count; i++) max = logits[i] > max ? logits[i] : max;
  if (max > s.max) {
    const float shrink = vexp(s.max - max);
    s.total *= shrink;
    s.weighted *= shrink;
    s.max = max;
    i64 at = 0;
    while (at < count && logits[at] != max) at++;
    s.best = static_cast<int32_t>(first + at);
  }
  vf total = {}, weighted = {};
  const vf base = broadcast(s.max);
  for (i = 0; i + W <= count; i += W) {
    const vf l = load(logits + i), e = vexp(l - base);
    total += e;
    if (entropy) weighted += e * l;
  }
  if (i < count) {
    const vf l = load_some(logits + i, count - i);
    vf e = vexp(l - base);
    for (i64 j = count - i; j < W; j++) e[j] = 0;
    total += e;
    if (entropy) weighted += e * l;
  }
  s.total += sum(total);
  s.weighted += sum(weighted);
}

}  // namespace

void logprob(Context& c, float* logprobs, float* lse, float* entropy, int32_t* best, float* kept, i64 kept_length, const float* x,
             Weight w, const int32_t* targets, i64 M, i64 C, i64 V) {
  const i64 chunk = words_of(V);
  float* scratch = c.scratch(Slot::logits, least(M, row_chunk) * chunk);
  Running* running = reinterpret_cast<Running*>(c.scratch(Slot::rows, 4 * row_chunk));
  for (i64 m0 = 0; m0 < M; m0 += row_chunk) {
    const i64 rows = least(row_chunk, M - m0);
    for (i64 m = 0; m < rows; m++) running[m] = {-INFINITY, 0, 0, 0};
    for (i64 v0 = 0; v0 < V; v0 += chunk) {
      const i64 words = least(chunk, V - v0);
      float* logits = is_kept(m0, rows, V, kept_length) ? kept + m0 * V + v0 * rows : scratch;
      gemm(c, logits, words, {x + m0 * C, false, C, 1}, rows_of(w, v0, C, true), rows, words, C, 1.0f, 0.0f, nullptr);
      parallel_range(c, rows, 8, [&](i64 begin, i64 end) {
        for (i64 m = begin; m < end; m++) {
          absorb(running[m], logits + m * words, words, v0, entropy != nullptr);
          const i64 target = targets[m0 + m] - v0;
          if (target >= 0 && target < words) logprobs[m0 + m] = logits[m * words + target];
        }
      });
    }
    for (i64 m = 0; m < rows; m++) {
      const Running& s = running[m];
      const double log_sum = static_cast<double>(s.max) + log(static_cast<double>(s.total));
      lse[m0 + m] = static_cast<float>(log_sum);
      logprobs[m0 + m] = static_cast<float>(static_cast<double>(logprobs[m0 + m]) - log_sum);
      if (entropy) entropy[m0 + m] = static_cast<float>(log_sum - static_cast<double>(s.weighted) / s.total);
      if (best) best[m0 + m] = s.best;
    }
  }
}

void logprob_backward(Context& c, float* dx, float* dw, float* kept, i64 kept_length, const float* dlogprobs, const float* x, Weight w, const int32_t* targets,
                      const float* lse, i64 M, i64 C, i64 V, float beta) {
  if (M == 0 && dw) return gemm(c, dw, C, {nullptr, false, 1, V}, {x, false, C, 1}, V, C, 0, 1.0f, beta, nullptr);
  const i64 chunk = words_of(V);
  float* scratch = c.scratch(Slot::logits, least(M, row_chunk) * chunk);
  for (i64 m0 = 0; m0 < M; m0 += row_chunk) {
    const i64 rows = least(row_chunk, M - m0);
    for (i64 v0 = 0; v0 < V; v0 += chunk) {
      const i64 words = least(chunk, V - v0);
      const bool made = is_kept(m0, rows, V, kept_length);
      // Gradients of kept logits go to scratch, which stays in cache, not back to memory.
      const float* logits = made ? kept + m0 * V + v0 * rows : scratch;
      if (!made) gemm(c, scratch, words, {x + m0 * C, false, C, 1}, rows_of(w, v0, C, true), rows, words, C, 1.0f, 0.0f, nullptr);
      // ∂ logprob / ∂ logit = [target] − softmax
      parallel_range(c, rows, 8, [&](i64 begin, i64 end) {
        for (i64 m = begin; m < end; m++) {
          const float* from = logits + m * words;
          float* row = scratch + m * words;
          const float d = dlogprobs[m0 + m];
          const vf down = broadcast(-d), base = broadcast(lse[m0 + m]);
          for (i64 i = 0; i < words; i += W) {
            const i64 count = least(W, words - i);
            __builtin_prefetch(from + i + 1024, 0, 2);  // kept logits come from memory: with the way to scratch, D's head 7 to 16 % faster
            store_some(row + i, down * vexp(load_some(from + i, count) - base), count);
          }
          const i64 target = targets[m0 + m] - v0;
          if (target >= 0 && target < words) row[target] += d;
        }
      });
      gemm(c, dx + m0 * C, C, {scratch, false, words, 1}, rows_of(w, v0, C, false), rows, C, words, 1.0f, v0 == 0 ? 0.0f : 1.0f, nullptr);
      if (dw) gemm(c, dw + v0 * C, C, {scratch, false, 1, words}, {x + m0 * C, false, C, 1}, words, C, rows, 1.0f, m0 == 0 ? beta : 1.0f, nullptr);
    }
  }
}

}  // namespace attune::ATTUNE_ISA
