// AdamW (Loshchilov & Hutter 2019) in one pass, in the order of torch.optim.AdamW.
#include "simd.h"

namespace attune::ATTUNE_ISA {

namespace {

ATTUNE_INLINE vf root(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#else
  for (int i = 0; i < W; i++) x[i] = sqrtf(x[i]);
  return x;
#endif
}

}  // namespace

void adamw(Context& c, float* w, const float* grad, float* m, float* v, i64 n, double lr, double beta1, double beta2, double eps,
           double weight_decay, double step, double grad_scale) {
  const float decay = static_cast<float>(1.0 - lr * weight_decay);
  const float fresh1 = static_cast<float>(1.0 - beta1), keep2 = static_cast<float>(beta2), fresh2 = static_cast<float>(1.0 - beta2);
  const float step_size = static_cast<float>(lr / (1.0 - pow(beta1, step)));
  const float root_correction = static_cast<float>(sqrt(1.0 - pow(beta2, step)));
  const float small = static_cast<float>(eps), scale = static_cast<float>(grad_scale);
  elementwise(c, n, [&](i64 i, i64 count) {
    const vf g = load_some(grad + i, count) * scale;
    vf first = load_some(m + i, count), second = load_some(v + i, count);
    first = first + (g - first) * fresh1;
    second = second * keep2 + g * g * fresh2;
    store_some(m + i, first, count);
    store_some(v + i, second, count);
    const vf denominator = root(second) / root_correction + small;
    store_some(w + i, load_some(w + i, count) * decay - step_size * (first / denominator), count);
  });
}

}  // namespace attune::ATTUNE_ISA
