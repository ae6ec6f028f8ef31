// Not compiled into anything: holds cublas_lt_api.h to NVIDIA's own cublasLt.h, wherever that is found (src/engine/device/cuda/cublas-lt.test.ts).
#include <cublasLt.h>

#include <type_traits>

#include "cublas_lt_api.h"

namespace ours = attune::cuda::lt;

// pointers to what is opaque and enums are one word to the caller whatever they are named; everything else must be the very type
template <class Ours, class Theirs>
constexpr bool alike() {
  if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) return true;
  else if constexpr (std::is_enum_v<Theirs>) return std::is_same_v<Ours, int> && sizeof(Theirs) == sizeof(int);
  else return std::is_same_v<Ours, Theirs>;
}
template <class Ours, class Theirs>
constexpr bool called_alike = false;
template <class R, class... A, class S, class... B>
constexpr bool called_alike<R(A...), S(B...)> = sizeof...(A) == sizeof...(B) && alike<R, S>() && [] {
  if constexpr (sizeof...(A) == sizeof...(B)) return (alike<A, B>() && ...);
  else return false;
}();

#define STRING(x) #x
namespace attune::cuda::lt {
#define X(name, result, arguments) static_assert(called_alike<result arguments, decltype(::name)>, STRING(name) " is declared otherwise");
ATTUNE_CUBLAS_LT(X)
#undef X
}  // namespace attune::cuda::lt

#define SAME(name) static_assert(static_cast<int>(ours::name) == static_cast<int>(::name), STRING(name) " is another number");
SAME(CUBLAS_STATUS_SUCCESS)
SAME(CUBLAS_STATUS_INVALID_VALUE)
SAME(CUBLAS_STATUS_NOT_SUPPORTED)
SAME(CUDA_R_32F)
SAME(CUDA_R_16BF)
SAME(CUBLAS_COMPUTE_32F)
SAME(CUBLAS_OP_T)
SAME(CUBLASLT_MATMUL_DESC_TRANSA)
SAME(CUBLASLT_MATMUL_DESC_TRANSB)
SAME(CUBLASLT_MATMUL_DESC_EPILOGUE)
SAME(CUBLASLT_MATMUL_DESC_BIAS_POINTER)
SAME(CUBLASLT_EPILOGUE_BIAS)
SAME(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
SAME(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES)
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES)
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
SAME(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)

static_assert(sizeof(ours::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(ours::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(ours::Heuristic, workspaceSize) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(ours::Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(ours::Heuristic, reserved) == offsetof(cublasLtMatmulHeuristicResult_t, reserved));
