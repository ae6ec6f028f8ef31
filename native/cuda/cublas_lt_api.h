// As much of cuBLASLt's interface as Attune calls, declared here so that neither its header nor its library are needed to build. check_cublas_lt.cpp holds
// these declarations to NVIDIA's cublasLt.h where there is one. Names are NVIDIA's; attributes and types are ints, whose values are those of CUDA 12 and 13.
#pragma once
#include <cstddef>
#include <cstdint>

#include "driver.h"

namespace attune::cuda::lt {

using Handle = struct Context*;
using MatmulDesc = struct MatmulDescData*;
using MatrixLayout = struct MatrixLayoutData*;
using Preference = struct PreferenceData*;

/// cublasLtMatmulAlgo_t
struct Algorithm {
  std::uint64_t data[8];
};

/// cublasLtMatmulHeuristicResult_t
struct Heuristic {
  Algorithm algo;
  std::size_t workspaceSize;
  int state;
  float wavesCount;
  int reserved[4];
};

enum {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,

  CUDA_R_32F = 0,
  CUDA_R_16BF = 14,
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_OP_T = 1,

  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
  CUBLASLT_EPILOGUE_BIAS = 4,

  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
  CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2,
};

// name in the library, result, arguments
#define ATTUNE_CUBLAS_LT(X)                                                                                                                            \
  X(cublasLtGetVersion, std::size_t, ())                                                                                                               \
  X(cublasLtGetStatusString, const char*, (int))                                                                                                       \
  X(cublasLtCreate, int, (Handle*))                                                                                                                    \
  X(cublasLtDestroy, int, (Handle))                                                                                                                    \
  X(cublasLtMatmulDescCreate, int, (MatmulDesc*, int, int))                                                                                            \
  X(cublasLtMatmulDescDestroy, int, (MatmulDesc))                                                                                                      \
  X(cublasLtMatmulDescSetAttribute, int, (MatmulDesc, int, const void*, std::size_t))                                                                  \
  X(cublasLtMatrixLayoutCreate, int, (MatrixLayout*, int, std::uint64_t, std::uint64_t, std::int64_t))                                                 \
  X(cublasLtMatrixLayoutDestroy, int, (MatrixLayout))                                                                                                  \
  X(cublasLtMatmulPreferenceCreate, int, (Preference*))                                                                                                \
  X(cublasLtMatmulPreferenceDestroy, int, (Preference))                                                                                                \
  X(cublasLtMatmulPreferenceSetAttribute, int, (Preference, int, const void*, std::size_t))                                                            \
  X(cublasLtMatmulAlgoGetHeuristic, int,                                                                                                               \
    (Handle, MatmulDesc, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, Preference, int, Heuristic*, int*))                                   \
  X(cublasLtMatmul, int,                                                                                                                               \
    (Handle, MatmulDesc, const void*, const void*, MatrixLayout, const void*, MatrixLayout, const void*, const void*, MatrixLayout, void*, MatrixLayout, \
     const Algorithm*, void*, std::size_t, CUstream))

/// Its functions, where they were found.
struct Library {
#define X(name, result, arguments) result(*name) arguments;
  ATTUNE_CUBLAS_LT(X)
#undef X
};

}  // namespace attune::cuda::lt
