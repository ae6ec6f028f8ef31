// Activations with a gate and without, forward and backward: one thread an element.
#include "platform.cuh"

enum { SILU = 0, GELU_TANH = 1, GELU = 2, SIGMOID = 3 };  // as cuda.ts numbers them

struct Activated {
  float value, slope;
};

DEVICE Activated activate(float x, int kind) {
  if (kind == SILU || kind == SIGMOID) {
    const float sigmoid = 1.0f / (1.0f + expf(-x));
    if (kind == SIGMOID) return {sigmoid, sigmoid * (1.0f - sigmoid)};
    return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
  }
  if (kind == GELU) {
    const float cdf = 0.5f * erfcf(x * -0.70710678f);
    return {x * cdf, cdf + x * expf(-0.5f * x * x) * 0.39894228f};
  }
  const float c = 0.79788456f;
  const float tanh = tanhf(c * (x + 0.044715f * x * x * x));
  return {0.5f * x * (1.0f + tanh), 0.5f * (1.0f + tanh) + 0.5f * x * (1.0f - tanh * tanh) * c * (1.0f + 0.134145f * x * x)};
}

KERNEL(256) gated_activation(float* out, const float* gate, const float* up, i64 n, int kind) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i < n) out[i] = activate(gate[i], kind).value * up[i];
}
EXPORT(gated_activation)

KERNEL(256) gated_activation_backward(float* dgate, float* dup, const float* dout, const float* gate, const float* up, i64 n, int kind) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= n) return;
  const Activated a = activate(gate[i], kind);
  const float d = dout[i], u = up[i];  // read before they are written: dout may be dgate or dup
  dgate[i] = d * a.slope * u;          // undoes, through gate: out = act(gate) · up
  dup[i] = d * a.value;                // undoes, through up: out = act(gate) · up
}
EXPORT(gated_activation_backward)

KERNEL(256) activation(float* out, const float* x, i64 n, int kind) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i < n) out[i] = activate(x[i], kind).value;
}
EXPORT(activation)

KERNEL(256) activation_backward(float* dx, const float* dout, const float* x, i64 n, int kind) {
  const i64 i = static_cast<i64>(blockIdx.x) * 256 + threadIdx.x;
  if (i < n) dx[i] = dout[i] * activate(x[i], kind).slope;  // undoes: out = act(x)
}
EXPORT(activation_backward)
