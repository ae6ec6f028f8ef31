// The border: one function a kernel, which reads its arguments (arguments.h) and calls it. Tensors themselves are addon_memory.cpp; nothing else sees N-API.
#include <algorithm>
#include <cstring>
#include <new>

#include "addon_memory.h"
#include "arguments.h"

namespace attune {
namespace {

const Kernels* kernels = nullptr;

// ── kernels ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void fill(Arguments& a) {
  Block& x = a.tensor("x");
  const double value = a.number("value");
  const i64 n = a.integer("n");
  a.plain(x);
  if (x.storage == Storage::bf16) {
    std::uint16_t bits;
    const float rounded = static_cast<float>(value);
    kernels->narrow_bf16(a.context(), &bits, &rounded, 1);
    std::fill_n(a.need<std::uint16_t>(x, "x", Storage::bf16, n), n, bits);
  } else if (x.storage == Storage::i32) {
    std::fill_n(a.i32(x, "x", n), n, static_cast<std::int32_t>(value));
  } else {
    kernels->fill(a.context(), a.f32(x, "x", n), static_cast<float>(value), n);
  }
}

void copy(Arguments& a) {
  Block& out = a.tensor("out");
  const i64 out_offset = a.integer("outOffset");
  Block& x = a.tensor("x");
  const i64 x_offset = a.integer("xOffset"), n = a.integer("n");
  kernels->copy(a.context(), a.f32(out, "out", out_offset + n) + out_offset, a.f32(x, "x", x_offset + n) + x_offset, n);
}

void axpy(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x");
  const double alpha = a.number("alpha");
  const i64 n = a.integer("n");
  kernels->axpy(a.context(), a.f32(out, "out", n), a.f32(x, "x", n), static_cast<float>(alpha), n);
}

void sum_squares(Arguments& a) {
  Block& out = a.tensor("out");
  const i64 index = a.integer("outIndex");
  Block& x = a.tensor("x");
  const i64 n = a.integer("n");
  kernels->sum_squares(a.context(), a.f32(out, "out", index + 1) + index, a.f32(x, "x", n), n);
}

void dropout(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x");
  const i64 n = a.integer("n");
  const double p = a.number("p"), seed = a.number("seed");
  if (!(p >= 0 && p < 1)) a.fail("p: expected 0 ≤ p < 1, got " + std::to_string(p));
  // As JavaScript's ToUint32.
  const double wrapped = std::fmod(std::trunc(seed), 4294967296.0);
  kernels->dropout(a.context(), a.f32(out, "out", n), a.f32(x, "x", n), n, p,
                   static_cast<std::uint32_t>(static_cast<i64>(wrapped)));
}

void gather_rows(Arguments& a) {
  Block &out = a.tensor("out"), &table = a.tensor("table"), &index = a.tensor("index");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  if (const auto* rows = a.q8_0(table, "table", 0, C))
    return kernels->gather_rows_q8_0(a.context(), a.f32(out, "out", N * C), rows, table.length / C, a.indices(index, "index", N, table.length / C), N, C);
  kernels->gather_rows(a.context(), a.f32(out, "out", N * C), a.weight(table, "table", 0, C), a.indices(index, "index", N, table.length / C), N, C);
}

void scatter_add_rows(Arguments& a) {
  Block &table = a.tensor("table"), &rows = a.tensor("rows"), &index = a.tensor("index");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  kernels->scatter_add_rows(a.context(), a.f32(table, "table", 0), a.f32(rows, "rows", N * C), a.indices(index, "index", N, table.length / C), N, C);
}

void quantize(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x");
  const i64 O = a.integer("O"), I = a.integer("I", 1);
  auto* blocks = a.q8_0(out, "out", O, I);
  if (!blocks || out.length != O * I) a.fail("out: expected a q8_0 tensor of exactly " + std::to_string(O * I) + " elements");
  kernels->quantize_q8_0(a.context(), blocks, a.f32(x, "x", O * I), O, I);
}

/// Rows a call goes over: all N, or those of a group, between two of the bounds that `route` left.
struct Rows {
  i64 first, count;
};
Rows group(Arguments& a, i64 N) {
  Block* bounds = a.optional("group.bounds");
  if (!bounds) return {0, N};
  const i64 at = a.integer("group.at");
  const std::int32_t* between = a.i32(*bounds, "group.bounds", at + 2) + at;
  if (between[0] < 0 || between[1] < between[0] || between[1] > N)
    a.fail("group: expected rows between 0 and " + std::to_string(N) + ", got " + std::to_string(between[0]) + " to " + std::to_string(between[1]));
  return {between[0], between[1] - between[0]};
}

void linear(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x"), &w = a.tensor("w");
  Block* bias = a.optional("bias");
  const i64 N = a.integer("N"), I = a.integer("I"), O = a.integer("O");
  const double alpha = a.number("alpha"), beta = a.number("beta");
  const Rows rows = group(a, N);
  const float* from = a.f32(x, "x", N * I) + rows.first * I;
  Linear linear{a.f32(out, "out", N * O) + rows.first * O, {}, a.q8_0(w, "w", O, I), a.f32(bias, "bias", O), O, static_cast<float>(alpha), static_cast<float>(beta)};
  // Panels of 16 rows hang together, so a q8_0 weight is used whole.
  if (linear.q8_0 && w.length != O * I) a.fail("w: expected a q8_0 tensor of exactly " + std::to_string(O * I) + " elements, got " + std::to_string(w.length));
  if (!linear.q8_0) linear.w = a.weight(w, "w", O * I, I);
  Together& together = a.device().together;
  if (linear.q8_0 || rows.count <= few_rows) return together.add(linear, bytes_of(w.storage, w.length), from, rows.count, I);
  together.settle();
  kernels->linear(a.context(), linear.out, from, linear.w, linear.bias, rows.count, I, O, linear.alpha, linear.beta);
}

void linear_backward_input(Arguments& a) {
  Block &dx = a.tensor("dx"), &dout = a.tensor("dout"), &w = a.tensor("w");
  const i64 N = a.integer("N"), I = a.integer("I"), O = a.integer("O");
  const double alpha = a.number("alpha"), beta = a.number("beta");
  const Rows rows = group(a, N);
  kernels->linear_backward_input(a.context(), a.f32(dx, "dx", N * I) + rows.first * I, a.f32(dout, "dout", N * O) + rows.first * O, a.weight(w, "w", O * I, I),
                                 rows.count, I, O, static_cast<float>(alpha), static_cast<float>(beta));
}

void linear_backward_weight(Arguments& a) {
  Block &dw = a.tensor("dw"), &dout = a.tensor("dout"), &x = a.tensor("x");
  const i64 N = a.integer("N"), I = a.integer("I"), O = a.integer("O");
  const double alpha = a.number("alpha"), beta = a.number("beta");
  const Rows rows = group(a, N);
  kernels->linear_backward_weight(a.context(), a.f32(dw, "dw", O * I), a.f32(dout, "dout", N * O) + rows.first * O, a.f32(x, "x", N * I) + rows.first * I,
                                  rows.count, I, O, static_cast<float>(alpha), static_cast<float>(beta));
}

void linear_backward_bias(Arguments& a) {
  Block &dbias = a.tensor("dbias"), &dout = a.tensor("dout");
  const i64 N = a.integer("N"), O = a.integer("O");
  kernels->linear_backward_bias(a.context(), a.f32(dbias, "dbias", O), a.f32(dout, "dout", N * O), N, O);
}

void rms_norm(Arguments& a) {
  Block &out = a.tensor("out"), &rstd = a.tensor("rstd"), &x = a.tensor("x"), &weight = a.tensor("weight");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  const double eps = a.number("eps");
  kernels->rms_norm(a.context(), a.f32(out, "out", N * C), a.f32(rstd, "rstd", N), a.f32(x, "x", N * C), a.f32(weight, "weight", C), N, C, static_cast<float>(eps));
}

void rms_norm_backward(Arguments& a) {
  Block& dx = a.tensor("dx");
  Block* dweight = a.optional("dweight");
  Block &dout = a.tensor("dout"), &x = a.tensor("x"), &weight = a.tensor("weight"), &rstd = a.tensor("rstd");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  kernels->rms_norm_backward(a.context(), a.f32(dx, "dx", N * C), a.f32(dweight, "dweight", C), a.f32(dout, "dout", N * C), a.f32(x, "x", N * C),
                             a.f32(weight, "weight", C), a.f32(rstd, "rstd", N), N, C);
}

void rope(Arguments& a) {
  Block &x = a.tensor("x"), &cos_sin = a.tensor("cosSin"), &positions = a.tensor("positions");
  const i64 N = a.integer("N"), H = a.integer("H", 1), D = a.integer("D", 1), R = a.integer("R", 2);
  const double direction = a.number("direction");
  if (R > D || R % 2 != 0) a.fail("R: expected an even number of at most D (" + std::to_string(D) + "), got " + std::to_string(R));
  kernels->rope(a.context(), a.f32(x, "x", N * H * D), a.f32(cos_sin, "cosSin", 0), a.indices(positions, "positions", N, cos_sin.length / R), N, H, D, R,
                direction < 0 ? -1.0f : 1.0f);
}

/// Checks a segment table against the rows q and k have.
const std::int32_t* segment_table(Arguments& a, Block& segments, i64 S, i64 queries, i64 keys) {
  const std::int32_t* table = a.i32(segments, "segments", S * 6);
  for (i64 s = 0; s < S; s++) {
    const std::int32_t* f = table + s * 6;
    const auto inside = [&](i64 start, i64 length, i64 rows) { return start >= 0 && length >= 0 && start + length <= rows; };
    if (!inside(f[0], f[1], queries) || !inside(f[2], f[3], keys) || !inside(f[4], f[5], keys) || f[5] < f[1]) {
      std::string text;
      for (int i = 0; i < 6; i++) text += (i ? ", " : "") + std::to_string(f[i]);
      a.fail("segments[" + std::to_string(s) + "] = (" + text + "): expected ranges inside " + std::to_string(queries) + " query and " +
             std::to_string(keys) + " key rows, and no more queries than keys");
    }
  }
  return table;
}

void attention(Arguments& a) {
  Block &out = a.tensor("out"), &lse = a.tensor("lse"), &q = a.tensor("q"), &k = a.tensor("k"), &v = a.tensor("v"), &segments = a.tensor("segments");
  const i64 S = a.integer("S"), H = a.integer("H", 1), K = a.integer("K", 1), D = a.integer("D", 1);
  const double scale = a.number("scale");
  if (H % K != 0) a.fail("H: expected a multiple of K (" + std::to_string(K) + "), got " + std::to_string(H));
  i64 queries = q.length / (H * D), keys = k.length / (K * D);
  queries = std::min({queries, out.length / (H * D), lse.length / H});
  keys = std::min(keys, v.length / (K * D));
  kernels->attention(a.context(), a.f32(out, "out", 0), a.f32(lse, "lse", 0), a.f32(q, "q", 0), a.f32(k, "k", 0), a.f32(v, "v", 0),
                     segment_table(a, segments, S, queries, keys), S, H, K, D, static_cast<float>(scale));
}

void attention_backward(Arguments& a) {
  Block &dq = a.tensor("dq"), &dk = a.tensor("dk"), &dv = a.tensor("dv"), &dout = a.tensor("dout"), &out = a.tensor("out"), &lse = a.tensor("lse");
  Block &q = a.tensor("q"), &k = a.tensor("k"), &v = a.tensor("v"), &segments = a.tensor("segments");
  const i64 S = a.integer("S"), H = a.integer("H", 1), K = a.integer("K", 1), D = a.integer("D", 1);
  const double scale = a.number("scale");
  if (H % K != 0) a.fail("H: expected a multiple of K (" + std::to_string(K) + "), got " + std::to_string(H));
  const i64 queries = std::min({q.length / (H * D), dq.length / (H * D), dout.length / (H * D), out.length / (H * D), lse.length / H});
  const i64 keys = std::min({k.length, v.length, dk.length, dv.length}) / (K * D);
  kernels->attention_backward(a.context(), a.f32(dq, "dq", 0), a.f32(dk, "dk", 0), a.f32(dv, "dv", 0), a.f32(dout, "dout", 0), a.f32(out, "out", 0),
                              a.f32(lse, "lse", 0), a.f32(q, "q", 0), a.f32(k, "k", 0), a.f32(v, "v", 0),
                              segment_table(a, segments, S, queries, keys), S, H, K, D, static_cast<float>(scale));
}

Activation activation(Arguments& a) {
  const Napi::Value value = a.any();
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : Arguments::describe(value);
  if (name == "silu") return Activation::silu;
  if (name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  a.fail("activation: expected silu or gelu_pytorch_tanh, got " + name);
}

void gated_activation(Arguments& a) {
  Block &out = a.tensor("out"), &gate = a.tensor("gate"), &up = a.tensor("up");
  const i64 n = a.integer("n");
  const Activation act = activation(a);
  kernels->gated_activation(a.context(), a.f32(out, "out", n), a.f32(gate, "gate", n), a.f32(up, "up", n), n, act);
}

void gated_activation_backward(Arguments& a) {
  Block &dgate = a.tensor("dgate"), &dup = a.tensor("dup"), &dout = a.tensor("dout"), &gate = a.tensor("gate"), &up = a.tensor("up");
  const i64 n = a.integer("n");
  const Activation act = activation(a);
  kernels->gated_activation_backward(a.context(), a.f32(dgate, "dgate", n), a.f32(dup, "dup", n), a.f32(dout, "dout", n), a.f32(gate, "gate", n),
                                     a.f32(up, "up", n), n, act);
}

// ── what only some families need ──────────────────────────────────────────────────────────────────────────────────────

void layer_norm(Arguments& a) {
  Block &out = a.tensor("out"), &mean = a.tensor("mean"), &rstd = a.tensor("rstd"), &x = a.tensor("x"), &weight = a.tensor("weight"), &bias = a.tensor("bias");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  const double eps = a.number("eps");
  kernels->layer_norm(a.context(), a.f32(out, "out", N * C), a.f32(mean, "mean", N), a.f32(rstd, "rstd", N), a.f32(x, "x", N * C),
                      a.f32(weight, "weight", C), a.f32(bias, "bias", C), N, C, static_cast<float>(eps));
}

void layer_norm_backward(Arguments& a) {
  Block& dx = a.tensor("dx");
  Block *dweight = a.optional("dweight"), *dbias = a.optional("dbias");
  Block &dout = a.tensor("dout"), &x = a.tensor("x"), &weight = a.tensor("weight"), &mean = a.tensor("mean"), &rstd = a.tensor("rstd");
  const i64 N = a.integer("N"), C = a.integer("C", 1);
  if (!dweight != !dbias) a.fail("dbias: expected with dweight, and null without");
  kernels->layer_norm_backward(a.context(), a.f32(dx, "dx", N * C), a.f32(dweight, "dweight", C), a.f32(dbias, "dbias", C), a.f32(dout, "dout", N * C),
                               a.f32(x, "x", N * C), a.f32(weight, "weight", C), a.f32(mean, "mean", N), a.f32(rstd, "rstd", N), N, C);
}

PlainActivation plain_activation(Arguments& a) {
  const Napi::Value value = a.any();
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : Arguments::describe(value);
  if (name == "gelu") return PlainActivation::gelu;
  if (name == "gelu_pytorch_tanh") return PlainActivation::gelu_tanh;
  if (name == "sigmoid") return PlainActivation::sigmoid;
  a.fail("activation: expected gelu, gelu_pytorch_tanh or sigmoid, got " + name);
}

void activation_forward(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x");
  const i64 n = a.integer("n");
  const PlainActivation act = plain_activation(a);
  kernels->activation(a.context(), a.f32(out, "out", n), a.f32(x, "x", n), n, act);
}

void activation_backward(Arguments& a) {
  Block &dx = a.tensor("dx"), &dout = a.tensor("dout"), &x = a.tensor("x");
  const i64 n = a.integer("n");
  const PlainActivation act = plain_activation(a);
  kernels->activation_backward(a.context(), a.f32(dx, "dx", n), a.f32(dout, "dout", n), a.f32(x, "x", n), n, act);
}

void copy_columns(Arguments& a) {
  Block& out = a.tensor("out");
  const i64 out_offset = a.integer("outOffset"), out_stride = a.integer("outStride");
  Block& x = a.tensor("x");
  const i64 x_offset = a.integer("xOffset"), x_stride = a.integer("xStride"), rows = a.integer("rows"), width = a.integer("width");
  const bool add = a.number("add") != 0;
  if (out_stride < width || x_stride < width) a.fail("width: expected at most both strides, got " + std::to_string(width));
  const auto needed = [&](i64 offset, i64 stride) { return rows > 0 ? offset + (rows - 1) * stride + width : offset; };
  kernels->copy_columns(a.context(), a.f32(out, "out", needed(out_offset, out_stride)) + out_offset, out_stride,
                        a.f32(x, "x", needed(x_offset, x_stride)) + x_offset, x_stride, rows, width, add);
}

void local_attention(Arguments& a) {
  Block &out = a.tensor("out"), &lse = a.tensor("lse"), &q = a.tensor("q"), &k = a.tensor("k"), &v = a.tensor("v"), &segments = a.tensor("segments");
  const i64 S = a.integer("S"), H = a.integer("H", 1), K = a.integer("K", 1), D = a.integer("D", 1);
  const double scale = a.number("scale");
  const i64 window = a.integer("window");
  const double cap = a.number("cap");
  if (H % K != 0) a.fail("H: expected a multiple of K (" + std::to_string(K) + "), got " + std::to_string(H));
  const i64 queries = std::min({q.length / (H * D), out.length / (H * D), lse.length / H});
  const i64 keys = std::min(k.length, v.length) / (K * D);
  kernels->local_attention(a.context(), a.f32(out, "out", 0), a.f32(lse, "lse", 0), a.f32(q, "q", 0), a.f32(k, "k", 0), a.f32(v, "v", 0),
                           segment_table(a, segments, S, queries, keys), S, H, K, D, static_cast<float>(scale), window, static_cast<float>(cap));
}

void local_attention_backward(Arguments& a) {
  Block &dq = a.tensor("dq"), &dk = a.tensor("dk"), &dv = a.tensor("dv"), &dout = a.tensor("dout"), &out = a.tensor("out"), &lse = a.tensor("lse");
  Block &q = a.tensor("q"), &k = a.tensor("k"), &v = a.tensor("v"), &segments = a.tensor("segments");
  const i64 S = a.integer("S"), H = a.integer("H", 1), K = a.integer("K", 1), D = a.integer("D", 1);
  const double scale = a.number("scale");
  const i64 window = a.integer("window");
  const double cap = a.number("cap");
  if (H % K != 0) a.fail("H: expected a multiple of K (" + std::to_string(K) + "), got " + std::to_string(H));
  const i64 queries = std::min({q.length / (H * D), dq.length / (H * D), dout.length / (H * D), out.length / (H * D), lse.length / H});
  const i64 keys = std::min({k.length, v.length, dk.length, dv.length}) / (K * D);
  kernels->local_attention_backward(a.context(), a.f32(dq, "dq", 0), a.f32(dk, "dk", 0), a.f32(dv, "dv", 0), a.f32(dout, "dout", 0),
                                    a.f32(out, "out", 0), a.f32(lse, "lse", 0), a.f32(q, "q", 0), a.f32(k, "k", 0), a.f32(v, "v", 0),
                                    segment_table(a, segments, S, queries, keys), S, H, K, D, static_cast<float>(scale), window,
                                    static_cast<float>(cap));
}

void capped_logprob(Arguments& a) {
  Block &logprobs = a.tensor("logprobs"), &lse = a.tensor("lse");
  Block *entropy = a.optional("entropy"), *best = a.optional("best");
  Block &logits = a.tensor("logits"), &targets = a.tensor("targets");
  const i64 M = a.integer("M"), V = a.integer("V", 1);
  const double cap = a.number("cap");
  kernels->capped_logprob(a.context(), a.f32(logprobs, "logprobs", M), a.f32(lse, "lse", M), a.f32(entropy, "entropy", M),
                          best ? a.i32(*best, "best", M) : nullptr, a.f32(logits, "logits", M * V), a.indices(targets, "targets", M, V), M, V,
                          static_cast<float>(cap));
}

void capped_logprob_backward(Arguments& a) {
  Block &logits = a.tensor("logits"), &dlogprobs = a.tensor("dlogprobs"), &targets = a.tensor("targets"), &lse = a.tensor("lse");
  const i64 M = a.integer("M"), V = a.integer("V", 1);
  const double cap = a.number("cap");
  kernels->capped_logprob_backward(a.context(), a.f32(logits, "logits", M * V), a.f32(dlogprobs, "dlogprobs", M), a.indices(targets, "targets", M, V),
                                   a.f32(lse, "lse", M), M, V, static_cast<float>(cap));
}

// ── mixtures of experts ───────────────────────────────────────────────────────────────────────────────────────────────

void route(Arguments& a) {
  Block &probs = a.tensor("probs"), &weights = a.tensor("weights"), &chosen = a.tensor("chosen"), &slots = a.tensor("slots"), &rows = a.tensor("rows");
  Block &bounds = a.tensor("bounds"), *load = a.optional("load"), &logits = a.tensor("logits");
  const i64 N = a.integer("N"), E = a.integer("E", 1), K = a.integer("K", 1);
  const bool normalise = a.number("normalise") != 0;
  if (K > E) a.fail("K: expected at most E (" + std::to_string(E) + "), got " + std::to_string(K));
  kernels->route(a.context(), a.f32(probs, "probs", N * E), a.f32(weights, "weights", N * K), a.i32(chosen, "chosen", N * K), a.i32(slots, "slots", N * K),
                 a.i32(rows, "rows", N * K), a.i32(bounds, "bounds", E + 1), a.f32(load, "load", E), a.f32(logits, "logits", N * E), N, E, K, normalise);
}

void route_backward(Arguments& a) {
  Block &dlogits = a.tensor("dlogits"), &dweights = a.tensor("dweights"), *dprobs = a.optional("dprobs");
  Block &probs = a.tensor("probs"), &weights = a.tensor("weights"), &chosen = a.tensor("chosen");
  const i64 N = a.integer("N"), E = a.integer("E", 1), K = a.integer("K", 1);
  const bool normalise = a.number("normalise") != 0;
  kernels->route_backward(a.context(), a.f32(dlogits, "dlogits", N * E), a.f32(dweights, "dweights", N * K), a.f32(dprobs, "dprobs", E),
                          a.f32(probs, "probs", N * E), a.f32(weights, "weights", N * K), a.indices(chosen, "chosen", N * K, E), N, E, K, normalise);
}

void combine_rows(Arguments& a) {
  Block &out = a.tensor("out"), &y = a.tensor("y"), &weights = a.tensor("weights"), &slots = a.tensor("slots");
  const i64 N = a.integer("N"), K = a.integer("K", 1), C = a.integer("C", 1);
  kernels->combine_rows(a.context(), a.f32(out, "out", N * C), a.f32(y, "y", N * K * C), a.f32(weights, "weights", N * K),
                        a.indices(slots, "slots", N * K, N * K), N, K, C);
}

void combine_rows_backward(Arguments& a) {
  Block &dy = a.tensor("dy"), *dweights = a.optional("dweights"), &dout = a.tensor("dout"), &y = a.tensor("y"), &weights = a.tensor("weights");
  Block& slots = a.tensor("slots");
  const i64 N = a.integer("N"), K = a.integer("K", 1), C = a.integer("C", 1);
  kernels->combine_rows_backward(a.context(), a.f32(dy, "dy", N * K * C), a.f32(dweights, "dweights", N * K), a.f32(dout, "dout", N * C),
                                 a.f32(y, "y", N * K * C), a.f32(weights, "weights", N * K), a.indices(slots, "slots", N * K, N * K), N, K, C);
}

// ── head and optimiser ────────────────────────────────────────────────────────────────────────────────────────────────

void logprob(Arguments& a) {
  Block &logprobs = a.tensor("logprobs"), &lse = a.tensor("lse");
  Block *entropy = a.optional("entropy"), *best = a.optional("best"), *kept = a.optional("kept");
  Block &x = a.tensor("x"), &w = a.tensor("w"), &targets = a.tensor("targets");
  const i64 M = a.integer("M"), C = a.integer("C"), V = a.integer("V", 1);
  kernels->logprob(a.context(), a.f32(logprobs, "logprobs", M), a.f32(lse, "lse", M), a.f32(entropy, "entropy", M),
                   best ? a.i32(*best, "best", M) : nullptr, a.f32(kept, "kept", 0), kept ? kept->length : 0, a.f32(x, "x", M * C), a.weight(w, "w", V * C, C), a.indices(targets, "targets", M, V), M, C, V);
}

void logprob_backward(Arguments& a) {
  Block& dx = a.tensor("dx");
  Block *dw = a.optional("dw"), *kept = a.optional("kept");
  Block &dlogprobs = a.tensor("dlogprobs"), &x = a.tensor("x"), &w = a.tensor("w"), &targets = a.tensor("targets"), &lse = a.tensor("lse");
  const i64 M = a.integer("M"), C = a.integer("C"), V = a.integer("V", 1);
  const double beta = a.number("beta");
  kernels->logprob_backward(a.context(), a.f32(dx, "dx", M * C), a.f32(dw, "dw", V * C), a.f32(kept, "kept", 0), kept ? kept->length : 0, a.f32(dlogprobs, "dlogprobs", M), a.f32(x, "x", M * C),
                            a.weight(w, "w", V * C, C), a.indices(targets, "targets", M, V), a.f32(lse, "lse", M), M, C, V, static_cast<float>(beta));
}

void adamw(Arguments& a) {
  Block &w = a.tensor("w"), &grad = a.tensor("grad"), &m = a.tensor("m"), &v = a.tensor("v");
  const i64 n = a.integer("n");
  const double lr = a.number("lr"), beta1 = a.number("beta1"), beta2 = a.number("beta2"), eps = a.number("eps"), decay = a.number("weightDecay");
  const i64 step = a.integer("step", 1);
  const double scale = a.number("gradScale");
  kernels->adamw(a.context(), a.f32(w, "w", n), a.f32(grad, "grad", n), a.f32(m, "m", n), a.f32(v, "v", n), n, lr, beta1, beta2, eps, decay,
                 static_cast<double>(step), scale);
}

/// Floating point operations of `rounds` fused multiply-adds on all threads: the bench times the call.
Napi::Value fma_burst(const Napi::CallbackInfo& info) {
  Arguments a(info, "fmaBurst");
  double flops = 0;
  kernels->fma_burst(a.context(), &flops, a.integer("rounds"));
  return Napi::Number::New(info.Env(), flops);
}

/// Reads x[0..n) once on all threads, as fast as memory gives it: the bench times the call.
void read_burst(Arguments& a) {
  Block &out = a.tensor("out"), &x = a.tensor("x");
  const i64 n = a.integer("n");
  kernels->read_burst(a.context(), a.f32(out, "out", 1), a.f32(x, "x", n), n);
}

struct Entry {
  const char* name;
  void (*call)(Arguments&);
  Waiting waiting = Waiting::settle;
};

constexpr Entry entries[] = {
    {"fill", fill}, {"copy", copy}, {"axpy", axpy}, {"sumSquares", sum_squares}, {"dropout", dropout},
    {"gatherRows", gather_rows}, {"scatterAddRows", scatter_add_rows},
    {"quantize", quantize}, {"linear", linear, Waiting::leave}, {"linearBackwardInput", linear_backward_input}, {"linearBackwardWeight", linear_backward_weight}, {"linearBackwardBias", linear_backward_bias},
    {"rmsNorm", rms_norm}, {"rmsNormBackward", rms_norm_backward}, {"rope", rope},
    {"attention", attention}, {"attentionBackward", attention_backward},
    {"gatedActivation", gated_activation}, {"gatedActivationBackward", gated_activation_backward},
    {"layerNorm", layer_norm}, {"layerNormBackward", layer_norm_backward}, {"activation", activation_forward}, {"activationBackward", activation_backward},
    {"route", route}, {"routeBackward", route_backward}, {"combineRows", combine_rows}, {"combineRowsBackward", combine_rows_backward},
    {"copyColumns", copy_columns}, {"localAttention", local_attention}, {"localAttentionBackward", local_attention_backward},
    {"cappedLogprob", capped_logprob}, {"cappedLogprobBackward", capped_logprob_backward},
    {"logprob", logprob}, {"logprobBackward", logprob_backward}, {"adamw", adamw},
    {"readBurst", read_burst},
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  try {
    kernels = &choose_kernels();
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
  exports.Set("simd", kernels->name);
  export_memory(env, exports, *kernels);
  exports.Set("fmaBurst", Napi::Function::New(env, fma_burst));
  for (const Entry& entry : entries)
    exports.Set(entry.name, Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
      const auto& e = *static_cast<const Entry*>(info.Data());
      Arguments a(info, e.name, e.waiting);
      try {
        e.call(a);
      } catch (const std::bad_alloc&) {
        a.fail_for_scratch();
      }
    }, entry.name, const_cast<Entry*>(&entry)));
  return exports;
}

}  // namespace
}  // namespace attune

static Napi::Object initialise_module(Napi::Env env, Napi::Object exports) { return attune::initialise(env, exports); }
NODE_API_MODULE(attune, initialise_module)
