// One GPU through the driver: its memory, its one stream, and launches. Everything is queued in order and nothing waits but `read`.
// Memory is cached: what is freed is kept for a tensor of about the same size, since cudaMalloc's way waits for all that runs.
#pragma once
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

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
  X(cuMemAlloc_v2, (CUdeviceptr*, std::size_t))                                                                                 \
  X(cuMemFree_v2, (CUdeviceptr))                                                                                                \
  X(cuMemHostAlloc, (void**, std::size_t, unsigned))                                                                            \
  X(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void*, std::size_t, CUstream))                                                    \
  X(cuMemcpyDtoHAsync_v2, (void*, CUdeviceptr, std::size_t, CUstream))                                                          \
  X(cuMemsetD8Async, (CUdeviceptr, unsigned char, std::size_t, CUstream))

/// The driver's functions, found in its library. Attributes are ints here: cuda.h's enums differ by version, their values do not.
struct Driver {
#define X(name, arguments) CUresult(*name) arguments;
  ATTUNE_DRIVER(X)
#undef X
  CUresult (*cuDeviceGetAttribute)(int*, int, CUdevice);
  CUresult (*cuFuncSetAttribute)(CUfunction, int, int);
  /// Throws what is missing. path: of the library, for tests; empty: where the system keeps it.
  explicit Driver(const std::string& path);
  /// Throws what the driver says when a call failed.
  void check(CUresult result, const char* what) const;
};

struct Properties {
  std::string name;
  int major, minor, driver_version, processors, block_bytes;
  std::size_t memory_bytes;
};

struct OutOfMemory {};

class Device {
 public:
  /// kernels: the fat binary nvcc made.
  Device(const std::string& driver_path, const std::string& kernels);

  const Properties& properties() const { return properties_; }
  std::size_t bytes() const { return bytes_; }
  std::size_t peak_bytes() const { return peak_bytes_; }

  /// Zero-filled where asked for. Throws OutOfMemory when nothing that is cached helps either.
  CUdeviceptr alloc(std::size_t bytes, bool zero);
  void free(CUdeviceptr at);
  /// Copies what it is given before it returns.
  void write(CUdeviceptr at, const void* from, std::size_t bytes);
  /// Waits for all that was queued. Returns what a kernel refused, four ints (platform.cuh's Fault), and forgets it.
  std::vector<std::int32_t> read(void* to, CUdeviceptr from, std::size_t bytes);
  CUdeviceptr fault() const { return fault_; }
  /// For a library that queues work of its own: makes the GPU the thread's, and where all work is queued.
  void enter() const;
  CUstream stream() const { return stream_; }

  /// A kernel's number, and the most block memory it will be launched with.
  int find(const std::string& name);
  void allow(int kernel, int block_bytes);
  /// arguments: eight bytes each.
  void launch(int kernel, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned block_bytes, void* arguments, int count);

 private:
  static std::size_t rounded(std::size_t bytes);
  CUdeviceptr take(std::size_t bytes);

  Driver driver_;
  Properties properties_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUmodule module_ = nullptr;
  std::vector<CUfunction> kernels_;
  CUdeviceptr fault_ = 0;

  struct Block {
    std::size_t wanted, taken;
  };
  std::map<CUdeviceptr, Block> used_;
  std::multimap<std::size_t, CUdeviceptr> cached_;
  std::size_t bytes_ = 0, peak_bytes_ = 0;

  // pinned memory that writes go through, in two halves: one fills while the other travels
  char* staging_ = nullptr;
  std::size_t staged_ = 0;
  int half_ = 0;
  CUevent sent_[2] = {};
};

}  // namespace attune::cuda
