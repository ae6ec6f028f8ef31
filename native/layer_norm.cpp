// Layer norm (Ba et al. 2016), as GPT-2 and GPT-NeoX have it. The variance is that of the centred row, in a second pass over it.
#include "simd.h"

namespace attune::ATTUNE_ISA {

void layer_norm(Context& c, float* out, float* mean, float* rstd, const float* x, const float* weight, const float* bias, i64 N, i64 C, float eps) {
  parallel_range(c, N, 1 + grain / (C + 1), [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; n++) {
      const float* row = x + n * C;
      vf total = {};
      for (i64 i = 0; i < C; i += W) total += load_some(row + i, C - i < W ? C - i : W);
      const float m = sum(total) / static_cast<float>(C);
      vf squares = {};
      i64 i = 0;
      for (; i + W <= C; i += W) {
        const vf u = load(row + i) - m;
        squares = u * u + squares;
      }
      float rest = 0;
      for (; i < C; i++) rest += (row[i] - m) * (row[i] - m);
      const float r = 1.0f / sqrtf((sum(squares) + rest) / static_cast<float>(C) + eps);
      mean[n] = m;
      rstd[n] = r;
      float* y = out + n * C;
      for (i = 0; i < C; i += W) {
        const i64 count = C - i < W ? C - i : W;
        store_some(y + i, (load_some(row + i, count) - m) * r * load_some(weight + i, count) + load_some(bias + i, count), count);
      }
    }
  });
}

/// y = x̂·g + b, x̂ = (x − m)·r  ⇒  dx = r·(dy·g − mean(dy·g) − x̂ · mean(dy·g·x̂)), dg = Σ dy·x̂, db = Σ dy.
void layer_norm_backward(Context& c, float* dx, float* dweight, float* dbias, const float* dout, const float* x, const float* weight,
                         const float* mean, const float* rstd, i64 N, i64 C) {
  // Pieces of rows depend on N alone; each gathers its own share of dweight and dbias, and the shares add in order.
  const i64 piece = N > 32 * 32 ? (N + 31) / 32 : 32;
  const i64 pieces = (N + piece - 1) / piece;
  const i64 stride = (C + W - 1) / W * W;
  float* shares = dweight ? c.scratch(Slot::rows, 2 * pieces * stride) : nullptr;
  parallel_range(c, N, piece, [&](i64 begin, i64 end) {
    float* share = shares ? shares + 2 * (begin / piece) * stride : nullptr;
    if (share) memset(share, 0, static_cast<size_t>(2 * stride) * sizeof(float));
    for (i64 n = begin; n < end; n++) {
      const float* row = x + n * C;
      const float* dy = dout + n * C;
      const float r = rstd[n], m = mean[n];
      vf plain = {}, turned = {};
      i64 i = 0;
      for (; i + W <= C; i += W) {
        const vf g = load(dy + i) * load(weight + i);
        plain += g;
        turned = g * (load(row + i) - m) + turned;
      }
      float plain_rest = 0, turned_rest = 0;
      for (; i < C; i++) {
        plain_rest += dy[i] * weight[i];
        turned_rest += dy[i] * weight[i] * (row[i] - m);
      }
      const float a = (sum(plain) + plain_rest) / static_cast<float>(C);
      const float b = (sum(turned) + turned_rest) * r * r / static_cast<float>(C);
      float* d = dx + n * C;
      for (i = 0; i < C; i += W) {
        const i64 count = C - i < W ? C - i : W;
        const vf centred = load_some(row + i, count) - m, dys = load_some(dy + i, count);
        store_some(d + i, load_some(d + i, count) + (dys * load_some(weight + i, count) - a - centred * b) * r, count);
        if (!share) continue;
        store_some(share + i, load_some(share + i, count) + dys * centred * r, count);
        store_some(share + stride + i, load_some(share + stride + i, count) + dys, count);
      }
    }
  });
  if (!dweight) return;
  parallel_range(c, C, 4 * W, [&](i64 begin, i64 end) {
    for (i64 p = 0; p < pieces; p++)
      for (i64 i = begin; i < end; i++) {
        dweight[i] += shares[2 * p * stride + i];
        dbias[i] += shares[(2 * p + 1) * stride + i];
      }
  });
}

}  // namespace attune::ATTUNE_ISA
