// act(gate) · up, with act = SiLU or tanh-GELU, and its gradients.
#include "simd.h"

namespace attune::ATTUNE_ISA {

namespace {

ATTUNE_INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

constexpr float gelu_scale = 0.7978845608028654f;  // √(2/π)
constexpr float gelu_cubic = 0.044715f;

/// 1 + tanh(u) = 2 · sigmoid(2u): no cancellation where it matters, u → −∞.
ATTUNE_INLINE vf half_one_plus_tanh(vf x) { return sigmoid(2.0f * gelu_scale * (x + gelu_cubic * x * x * x)); }

}  // namespace

void gated_activation(Context& c, float* out, const float* gate, const float* up, i64 n, Activation activation) {
  if (activation == Activation::silu)
    elementwise(c, n, [&](i64 i, i64 count) {
      const vf g = load_some(gate + i, count);
      store_some(out + i, g * sigmoid(g) * load_some(up + i, count), count);
    });
  else
    elementwise(c, n, [&](i64 i, i64 count) {
      const vf g = load_some(gate + i, count);
      store_some(out + i, g * half_one_plus_tanh(g) * load_some(up + i, count), count);
    });
}

void gated_activation_backward(Context& c, float* dgate, float* dup, const float* dout, const float* gate, const float* up, i64 n,
                               Activation activation) {
  if (activation == Activation::silu)
    elementwise(c, n, [&](i64 i, i64 count) {
      const vf g = load_some(gate + i, count), d = load_some(dout + i, count), u = load_some(up + i, count);
      const vf s = sigmoid(g);
      store_some(dgate + i, d * u * s * (1.0f + g * (1.0f - s)), count);
      store_some(dup + i, d * g * s, count);
    });
  else
    elementwise(c, n, [&](i64 i, i64 count) {
      const vf g = load_some(gate + i, count), d = load_some(dout + i, count), u = load_some(up + i, count);
      const vf s = half_one_plus_tanh(g);
      const vf slope = s + g * s * (1.0f - s) * (2.0f * gelu_scale) * (1.0f + 3.0f * gelu_cubic * g * g);
      store_some(dgate + i, d * u * slope, count);
      store_some(dup + i, d * g * s, count);
    });
}

}  // namespace attune::ATTUNE_ISA
