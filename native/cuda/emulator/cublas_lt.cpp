// A stand-in for libcublasLt.so: the functions cublas_lt_api.h names, doing what NVIDIA's documentation says of descriptors, layouts, transposes, the bias
// epilogue and beta, with sums in double. Stricter than the library where a mistake would show only on a GPU: what lies outside memory, addresses and columns that
// break the stated alignment, sizes that do not fit, an algorithm asked for otherwise than it is used, parts added as they come. For tests only.
#include "../cublas_lt_api.h"

#include "execution.h"

using namespace attune::cuda::lt;

namespace attune::cuda::lt {
struct Context {};
struct MatmulDescData {
  int compute, scale;
  std::int32_t turned_a = 0, turned_b = 0;
  std::uint32_t epilogue = 1;
  std::uint64_t bias = 0;
};
struct MatrixLayoutData {
  int type;
  std::uint64_t rows, columns;
  std::int64_t leading;
};
struct PreferenceData {
  std::uint64_t workspace = 0;
  std::uint32_t reduction = 7, alignment[4] = {256, 256, 256, 256};
};
}  // namespace attune::cuda::lt

namespace {

/// It has no algorithm for products of this depth, so that what happens then can be tested.
constexpr std::uint64_t unknown_depth = 104;
/// Of an algorithm: that it is one, what it was chosen for, and the workspace it needs.
enum { MARK, ROWS, COLUMNS, DEPTH, BIASED, WORKSPACE, ALIGNMENT };
constexpr std::uint64_t mark = 0x656d756c61746564;

int set(void* field, std::size_t size, const void* from, std::size_t bytes) {
  if (bytes != size) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(field, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
#define SET(field) return set(&(field), sizeof(field), from, bytes)

std::uint64_t item(const MatrixLayoutData& layout) { return layout.type == CUDA_R_16BF ? 2 : 4; }

bool fits(const void* at, const MatrixLayoutData& layout, std::uint64_t alignment) {
  const auto address = reinterpret_cast<std::uint64_t>(at);
  const std::uint64_t leading = static_cast<std::uint64_t>(layout.leading);
  return address % alignment == 0 && emulator::known(address, ((layout.columns - 1) * leading + layout.rows) * item(layout));
}

/// Rows, columns and depth of a product, or none where its matrices do not fit each other.
struct Shape {
  std::uint64_t m = 0, n = 0, k = 0;
};
Shape shape_of(const MatmulDescData& desc, const MatrixLayoutData& a, const MatrixLayoutData& b, const MatrixLayoutData& out) {
  const std::uint64_t m = desc.turned_a ? a.columns : a.rows, k = desc.turned_a ? a.rows : a.columns;
  const std::uint64_t n = desc.turned_b ? b.rows : b.columns, deep = desc.turned_b ? b.columns : b.rows;
  const bool types = a.type == CUDA_R_16BF && b.type == CUDA_R_16BF && out.type == CUDA_R_32F && desc.compute == CUBLAS_COMPUTE_32F && desc.scale == CUDA_R_32F;
  return types && k == deep && out.rows == m && out.columns == n ? Shape{m, n, k} : Shape{};
}

}  // namespace

extern "C" {
#define API __attribute__((visibility("default")))

API std::size_t cublasLtGetVersion() { return 130000; }
API const char* cublasLtGetStatusString(int status) { return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "an invalid value"; }
API int cublasLtCreate(Handle* handle) { return *handle = new Context{}, CUBLAS_STATUS_SUCCESS; }
API int cublasLtDestroy(Handle handle) { return delete handle, CUBLAS_STATUS_SUCCESS; }

API int cublasLtMatmulDescCreate(MatmulDesc* desc, int compute, int scale) { return *desc = new MatmulDescData{compute, scale}, CUBLAS_STATUS_SUCCESS; }
API int cublasLtMatmulDescDestroy(MatmulDesc desc) { return delete desc, CUBLAS_STATUS_SUCCESS; }
API int cublasLtMatmulDescSetAttribute(MatmulDesc desc, int attribute, const void* from, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: SET(desc->turned_a);
    case CUBLASLT_MATMUL_DESC_TRANSB: SET(desc->turned_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: SET(desc->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: SET(desc->bias);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

API int cublasLtMatrixLayoutCreate(MatrixLayout* layout, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
  if (rows == 0 || columns == 0 || leading < static_cast<std::int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  return *layout = new MatrixLayoutData{type, rows, columns, leading}, CUBLAS_STATUS_SUCCESS;
}
API int cublasLtMatrixLayoutDestroy(MatrixLayout layout) { return delete layout, CUBLAS_STATUS_SUCCESS; }

API int cublasLtMatmulPreferenceCreate(Preference* preference) { return *preference = new PreferenceData{}, CUBLAS_STATUS_SUCCESS; }
API int cublasLtMatmulPreferenceDestroy(Preference preference) { return delete preference, CUBLAS_STATUS_SUCCESS; }
API int cublasLtMatmulPreferenceSetAttribute(Preference preference, int attribute, const void* from, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: SET(preference->workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: SET(preference->reduction);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: SET(preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

API int cublasLtMatmulAlgoGetHeuristic(Handle, MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout out, Preference preference, int wanted,
                                       Heuristic* found, int* count) {
  *count = 0;
  const Shape shape = shape_of(*desc, *a, *b, *out);
  if (wanted < 1 || shape.m == 0 || c != out || preference->reduction & 1) return CUBLAS_STATUS_INVALID_VALUE;
  if (shape.k == unknown_depth) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const MatrixLayoutData* layout : {a, b, out})
    if (static_cast<std::uint64_t>(layout->leading) * item(*layout) % 16 != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  *count = 1;
  *found = Heuristic{};
  found->workspaceSize = preference->workspace;
  found->algo = {{mark, shape.m, shape.n, shape.k, desc->epilogue, preference->workspace, preference->alignment[0]}};
  return CUBLAS_STATUS_SUCCESS;
}

API int cublasLtMatmul(Handle, MatmulDesc desc, const void* alpha, const void* a, MatrixLayout at_a, const void* b, MatrixLayout at_b, const void* beta,
                       const void* c, MatrixLayout at_c, void* out, MatrixLayout at_out, const Algorithm* algorithm, void* workspace, std::size_t workspace_bytes,
                       CUstream) {
  const auto& chosen = algorithm->data;
  const Shape shape = shape_of(*desc, *at_a, *at_b, *at_out);
  const bool biased = desc->epilogue == CUBLASLT_EPILOGUE_BIAS;
  const bool asked_for = chosen[MARK] == mark && chosen[ROWS] == shape.m && chosen[COLUMNS] == shape.n && chosen[DEPTH] == shape.k && chosen[BIASED] == desc->epilogue;
  const bool works = workspace_bytes >= chosen[WORKSPACE] && emulator::known(reinterpret_cast<std::uint64_t>(workspace), workspace_bytes);
  const std::uint64_t alignment = chosen[ALIGNMENT];
  const bool lies = fits(a, *at_a, alignment) && fits(b, *at_b, alignment) && fits(out, *at_out, alignment) && c == out && at_c == at_out;
  if (!asked_for || !works || !lies || (biased && (desc->bias % alignment != 0 || !emulator::known(desc->bias, 4 * shape.m)))) return CUBLAS_STATUS_INVALID_VALUE;
  std::memset(workspace, 0xff, workspace_bytes);  // nobody else keeps anything there

  emulator::run_all();  // what the stream has before it
  const auto* left = static_cast<const emulator::u16*>(a);
  const auto* right = static_cast<const emulator::u16*>(b);
  auto* sums = static_cast<float*>(out);
  const auto* offsets = reinterpret_cast<const float*>(desc->bias);
  const auto wide = [](emulator::u16 bits) { return static_cast<double>(emulator::as_float(static_cast<emulator::u32>(bits) << 16)); };
  const auto leading = [](MatrixLayout layout) { return static_cast<std::uint64_t>(layout->leading); };
  const float grow = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  for (std::uint64_t n = 0; n < shape.n; n++)
    for (std::uint64_t m = 0; m < shape.m; m++) {
      double sum = 0;
      for (std::uint64_t k = 0; k < shape.k; k++)
        sum += wide(left[desc->turned_a ? m * leading(at_a) + k : k * leading(at_a) + m]) * wide(right[desc->turned_b ? k * leading(at_b) + n : n * leading(at_b) + k]);
      float& to = sums[n * leading(at_out) + m];
      to = static_cast<float>((keep == 0.0f ? 0.0 : keep * static_cast<double>(to)) + grow * sum + (biased ? offsets[m] : 0.0f));
    }
  return CUBLAS_STATUS_SUCCESS;
}
}
