// The kernels as plain functions on pointers: the C++ side of src/engine/device/device.ts, which holds their meaning.
// Every op file is compiled once per instruction set into its own namespace (ATTUNE_ISA); table.cpp gathers one Kernels
// per set and dispatch.cpp picks one. Dims and layouts as in device.ts. No checks here: addon.cpp has made them.
#pragma once
#include <cstdint>

namespace attune {

using i64 = std::int64_t;
struct Context;  // thread pool and scratch: context.h

/// Of a frozen matrix whose numbers share scales: blocks.h.
enum class Blocks { none, int8, q4_0, nf4 };

/// A frozen or trained matrix as stored: f32, bf16 or in blocks. `length`: numbers of a matrix in blocks.
struct Weight {
  const void* data;
  bool bf16;
  Blocks blocks = Blocks::none;
  i64 length = 0;
};

/// One of several linears of the same rows of x: out(N,O) = beta · out + alpha · x(N,I) · w(O,I)ᵀ + bias. The weight is `q8_0` where that is not null, else `w`.
struct Linear {
  float* out;
  Weight w;
  const std::uint8_t* q8_0;
  const float* bias;
  i64 O;
  float alpha, beta;
};
constexpr int most_linears = 4;
/// Up to so many rows of x every weight is read once, as it lies; the packed product would spend its time packing it.
constexpr i64 few_rows = 32;

enum class Activation { silu, gelu_tanh };
enum class PlainActivation { gelu, gelu_tanh, sigmoid };

// name, arguments
#define ATTUNE_KERNELS(X)                                                                                                        \
  X(fill, (Context & c, float* x, float value, i64 n))                                                                          \
  X(copy, (Context & c, float* out, const float* x, i64 n))                                                                     \
  X(axpy, (Context & c, float* out, const float* x, float alpha, i64 n))                                                        \
  X(sum_squares, (Context & c, float* out, const float* x, i64 n))                                                              \
  X(dropout, (Context & c, float* out, const float* x, i64 n, double p, std::uint32_t seed))                                    \
  X(narrow_bf16, (Context & c, std::uint16_t* out, const float* x, i64 n))                                                      \
  X(gather_rows, (Context & c, float* out, Weight table, const std::int32_t* index, i64 N, i64 C))                              \
  X(scatter_add_rows, (Context & c, float* table, const float* rows, const std::int32_t* index, i64 N, i64 C))                  \
  X(linear, (Context & c, float* out, const float* x, Weight w, const float* bias, i64 N, i64 I, i64 O, float alpha, float beta)) \
  X(quantize_q8_0, (Context & c, std::uint8_t* out, const float* x, i64 O, i64 I))                                              \
  X(gather_rows_q8_0, (Context & c, float* out, const std::uint8_t* table, i64 V, const std::int32_t* index, i64 N, i64 C))     \
  X(linears, (Context & c, const Linear* all, int count, const float* x, i64 N, i64 I))                                         \
  X(linear_backward_input, (Context & c, float* dx, const float* dout, Weight w, i64 N, i64 I, i64 O, float alpha, float beta)) \
  X(linear_backward_weight, (Context & c, float* dw, const float* dout, const float* x, i64 N, i64 I, i64 O, float alpha, float beta)) \
  X(linear_backward_bias, (Context & c, float* dbias, const float* dout, i64 N, i64 O))                                         \
  X(rms_norm, (Context & c, float* out, float* rstd, const float* x, const float* weight, i64 N, i64 C, float eps))             \
  X(rms_norm_backward, (Context & c, float* dx, float* dweight, const float* dout, const float* x, const float* weight,         \
                        const float* rstd, i64 N, i64 C))                                                                       \
  X(rope, (Context & c, float* x, const float* cos_sin, const std::int32_t* positions, i64 N, i64 H, i64 D, i64 R, float direction)) \
  X(attention, (Context & c, float* out, float* lse, const float* q, const float* k, const float* v, const std::int32_t* segments, \
                i64 S, i64 H, i64 K, i64 D, float scale))                                                                       \
  X(attention_backward, (Context & c, float* dq, float* dk, float* dv, const float* dout, const float* out, const float* lse,   \
                         const float* q, const float* k, const float* v, const std::int32_t* segments, i64 S, i64 H, i64 K,     \
                         i64 D, float scale))                                                                                   \
  X(gated_activation, (Context & c, float* out, const float* gate, const float* up, i64 n, Activation activation))              \
  X(gated_activation_backward, (Context & c, float* dgate, float* dup, const float* dout, const float* gate, const float* up,   \
                                i64 n, Activation activation))                                                                  \
  X(layer_norm, (Context & c, float* out, float* mean, float* rstd, const float* x, const float* weight, const float* bias, i64 N, \
                 i64 C, float eps))                                                                                             \
  X(layer_norm_backward, (Context & c, float* dx, float* dweight, float* dbias, const float* dout, const float* x,              \
                          const float* weight, const float* mean, const float* rstd, i64 N, i64 C))                             \
  X(activation, (Context & c, float* out, const float* x, i64 n, PlainActivation activation))                                   \
  X(activation_backward, (Context & c, float* dx, const float* dout, const float* x, i64 n, PlainActivation activation))        \
  X(copy_columns, (Context & c, float* out, i64 out_stride, const float* x, i64 x_stride, i64 rows, i64 width, bool add))       \
  X(local_attention, (Context & c, float* out, float* lse, const float* q, const float* k, const float* v,                      \
                      const std::int32_t* segments, i64 S, i64 H, i64 K, i64 D, float scale, i64 window, float cap))            \
  X(local_attention_backward, (Context & c, float* dq, float* dk, float* dv, const float* dout, const float* out,               \
                               const float* lse, const float* q, const float* k, const float* v, const std::int32_t* segments,  \
                               i64 S, i64 H, i64 K, i64 D, float scale, i64 window, float cap))                                 \
  X(capped_logprob, (Context & c, float* logprobs, float* lse, float* entropy, std::int32_t* best, float* logits,               \
                     const std::int32_t* targets, i64 M, i64 V, float cap))                                                     \
  X(capped_logprob_backward, (Context & c, float* logits, const float* dlogprobs, const std::int32_t* targets, const float* lse, \
                              i64 M, i64 V, float cap))                                                                         \
  X(route, (Context & c, float* probs, float* weights, std::int32_t* chosen, std::int32_t* slots, std::int32_t* rows,            \
            std::int32_t* bounds, float* load, const float* logits, i64 N, i64 E, i64 K, bool normalise))                        \
  X(route_backward, (Context & c, float* dlogits, const float* dweights, const float* dprobs, const float* probs,               \
                     const float* weights, const std::int32_t* chosen, i64 N, i64 E, i64 K, bool normalise))                     \
  X(combine_rows, (Context & c, float* out, const float* y, const float* weights, const std::int32_t* slots, i64 N, i64 K, i64 C)) \
  X(combine_rows_backward, (Context & c, float* dy, float* dweights, const float* dout, const float* y, const float* weights,   \
                            const std::int32_t* slots, i64 N, i64 K, i64 C))                                                    \
  X(logprob, (Context & c, float* logprobs, float* lse, float* entropy, std::int32_t* best, float* kept, i64 kept_length,       \
              const float* x, Weight w, const std::int32_t* targets, i64 M, i64 C, i64 V))                                      \
  X(logprob_backward, (Context & c, float* dx, float* dw, float* kept, i64 kept_length, const float* dlogprobs, const float* x, \
                       Weight w, const std::int32_t* targets, const float* lse, i64 M, i64 C, i64 V, float beta))               \
  X(adamw, (Context & c, float* w, const float* grad, float* m, float* v, i64 n, double lr, double beta1, double beta2,         \
            double eps, double weight_decay, double step, double grad_scale))                                                   \
  X(fma_burst, (Context & c, double* flops, i64 rounds))                                                                        \
  X(read_burst, (Context & c, float* out, const float* x, i64 n))

struct Kernels {
  const char* name;
#define X(name, arguments) void(*name) arguments;
  ATTUNE_KERNELS(X)
#undef X
};

#ifdef ATTUNE_ISA
namespace ATTUNE_ISA {
#define X(name, arguments) void name arguments;
ATTUNE_KERNELS(X)
#undef X
}  // namespace ATTUNE_ISA
#endif

/// The best set this processor runs; ATTUNE_SIMD=avx512|avx2|neon|portable asks for a lower one.
const Kernels& choose_kernels();

}  // namespace attune
