// The driver's library: its functions, found when a device is opened, and what it says when a call fails.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "driver.h"

namespace attune::cuda {

// name in the library, result and arguments as cuda.h has them
#define ATTUNE_DRIVER(X)                                                                                                        \
  X(cuInit, (unsigned))                                                                                                         \
  X(cuDriverGetVersion, (int*))                                                                                                 \
  X(cuGetErrorString, (CUresult, const char**))                                                                                 \
  X(cuDeviceGetCount, (int*))                                                                                                   \
  X(cuDeviceGet, (CUdevice*, int))                                                                                              \
  X(cuDeviceGetName, (char*, int, CUdevice))                                                                                    \
  X(cuDeviceTotalMem_v2, (std::size_t*, CUdevice))                                                                              \
  X(cuDevicePrimaryCtxRetain, (CUcontext*, CUdevice))                                                                           \
  X(cuCtxSetCurrent, (CUcontext))                                                                                               \
  X(cuStreamCreate, (CUstream*, unsigned))                                                                                      \
  X(cuStreamSynchronize, (CUstream))                                                                                            \
  X(cuEventCreate, (CUevent*, unsigned))                                                                                        \
  X(cuEventRecord, (CUevent, CUstream))                                                                                         \
  X(cuEventSynchronize, (CUevent))                                                                                              \
  X(cuModuleLoadData, (CUmodule*, const void*))                                                                                 \
  X(cuModuleGetFunction, (CUfunction*, CUmodule, const char*))                                                                  \
  X(cuLaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**)) \
  X(cuGraphCreate, (CUgraph*, unsigned))                                                                                        \
  X(cuGraphAddKernelNode_v2, (CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t, const CUDA_KERNEL_NODE_PARAMS*))          \
  X(cuGraphInstantiateWithFlags, (CUgraphExec*, CUgraph, unsigned long long))                                                   \
  X(cuGraphExecKernelNodeSetParams_v2, (CUgraphExec, CUgraphNode, const CUDA_KERNEL_NODE_PARAMS*))                              \
  X(cuGraphLaunch, (CUgraphExec, CUstream))                                                                                     \
  X(cuGraphExecDestroy, (CUgraphExec))                                                                                          \
  X(cuGraphDestroy, (CUgraph))                                                                                                  \
  X(cuMemAlloc_v2, (CUdeviceptr*, std::size_t))                                                                                 \
  X(cuMemFree_v2, (CUdeviceptr))                                                                                                \
  X(cuMemAddressReserve, (CUdeviceptr*, std::size_t, std::size_t, CUdeviceptr, unsigned long long))                              \
  X(cuMemAddressFree, (CUdeviceptr, std::size_t))                                                                               \
  X(cuMemCreate, (CUmemGenericAllocationHandle*, std::size_t, const CUmemAllocationProp*, unsigned long long))                  \
  X(cuMemRelease, (CUmemGenericAllocationHandle))                                                                               \
  X(cuMemMap, (CUdeviceptr, std::size_t, std::size_t, CUmemGenericAllocationHandle, unsigned long long))                        \
  X(cuMemUnmap, (CUdeviceptr, std::size_t))                                                                                     \
  X(cuMemSetAccess, (CUdeviceptr, std::size_t, const CUmemAccessDesc*, std::size_t))                                            \
  X(cuMemHostAlloc, (void**, std::size_t, unsigned))                                                                            \
  X(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void*, std::size_t, CUstream))                                                    \
  X(cuMemcpyDtoHAsync_v2, (void*, CUdeviceptr, std::size_t, CUstream))                                                          \
  X(cuMemsetD8Async, (CUdeviceptr, unsigned char, std::size_t, CUstream))

/// The driver's functions. Attributes are ints here: cuda.h's enums differ by version, their values do not.
struct Driver {
#define X(name, arguments) CUresult(*name) arguments;
  ATTUNE_DRIVER(X)
#undef X
  CUresult (*cuDeviceGetAttribute)(int*, int, CUdevice);
  CUresult (*cuFuncSetAttribute)(CUfunction, int, int);
  CUresult (*cuMemGetAllocationGranularity)(std::size_t*, const CUmemAllocationProp*, int);
  /// Throws what is missing. path: of the library, for tests; empty: where the system keeps it.
  explicit Driver(const std::string& path);
  /// Throws what the driver says when a call failed.
  void check(CUresult result, const char* what) const {
    calls++;
    if (result != CUDA_SUCCESS) fail(result, what);
  }
  /// Calls checked so far.
  mutable std::uint64_t calls = 0;

 private:
  [[noreturn]] void fail(CUresult result, const char* what) const;
};

}  // namespace attune::cuda
