// GELU of an MLP without a gate, by erf (GPT-NeoX) or by tanh (GPT-2), the sigmoid of a shared expert's gate, and their gradients.
#include "simd.h"

namespace attune::ATTUNE_ISA {

namespace {

constexpr float tanh_scale = 0.7978845608028654f;   // √(2/π)
constexpr float tanh_cubic = 0.044715f;
constexpr float half_sqrt = 0.7071067811865476f;    // 1/√2
constexpr float density = 0.3989422804014327f;      // 1/√(2π)

ATTUNE_INLINE vf half_one_plus_tanh(vf x) { return 1.0f / (1.0f + vexp(-2.0f * tanh_scale * (x + tanh_cubic * x * x * x))); }

/// Φ(x), lane by lane: libm's erfc keeps the left tail's digits.
ATTUNE_INLINE vf normal_cdf(vf x) {
  vf y;
  for (int i = 0; i < W; i++) y[i] = 0.5f * erfcf(-x[i] * half_sqrt);
  return y;
}

}  // namespace

void activation(Context& c, float* out, const float* x, i64 n, PlainActivation activation) {
  elementwise(c, n, [&](i64 i, i64 count) {
    const vf u = load_some(x + i, count);
    if (activation == PlainActivation::sigmoid) return store_some(out + i, 1.0f / (1.0f + vexp(-u)), count);
    store_some(out + i, u * (activation == PlainActivation::gelu ? normal_cdf(u) : half_one_plus_tanh(u)), count);
  });
}

void activation_backward(Context& c, float* dx, const float* dout, const float* x, i64 n, PlainActivation activation) {
  elementwise(c, n, [&](i64 i, i64 count) {
    const vf u = load_some(x + i, count), d = load_some(dout + i, count);
    if (activation == PlainActivation::sigmoid) {
      const vf s = 1.0f / (1.0f + vexp(-u));
      store_some(dx + i, d * s * (1.0f - s), count);
    } else if (activation == PlainActivation::gelu) {
      store_some(dx + i, d * (normal_cdf(u) + u * density * vexp(-0.5f * u * u)), count);
    } else {
      const vf s = half_one_plus_tanh(u);
      store_some(dx + i, d * (s + u * s * (1.0f - s) * (2.0f * tanh_scale) * (1.0f + 3.0f * tanh_cubic * u * u)), count);
    }
  });
}

}  // namespace attune::ATTUNE_ISA
