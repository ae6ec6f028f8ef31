// One GPU through the driver: its memory, its one stream, and launches, gathered by queue.h. Everything runs in order and nothing waits but `read`.
// Memory is cached: what is freed is kept for a tensor of about the same size, since cudaMalloc's way waits for all that runs.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "driver_library.h"
#include "pages.h"
#include "queue.h"

namespace attune::cuda {

struct Properties {
  std::string name;
  int major, minor, driver_version, processors, block_bytes;
  std::size_t memory_bytes;
};

struct OutOfMemory {};

class Device {
 public:
  /// kernels: the fat binary nvcc made. piece: launches that go to the driver together.
  Device(const std::string& driver_path, const std::string& kernels, unsigned piece);

  const Properties& properties() const { return properties_; }
  std::size_t bytes() const { return bytes_ + (pages_ ? pages_->bytes() : 0); }
  std::size_t peak_bytes() const { return peak_bytes_; }
  /// Of the driver's functions, so far.
  std::uint64_t driver_calls() const { return driver_.calls; }

  /// Zero-filled where asked for. Throws OutOfMemory when nothing that is cached helps either.
  CUdeviceptr alloc(std::size_t bytes, bool zero);
  /// Memory that comes as write and copy fill it (pages.h); where the GPU maps none, as alloc gives it.
  CUdeviceptr alloc_growing(std::size_t bytes);
  void forget(CUdeviceptr at, std::size_t bytes);
  void free(CUdeviceptr at);
  /// Copies what it is given before it returns. Throws OutOfMemory, as copy does, where memory that grows has no more.
  void write(CUdeviceptr at, const void* from, std::size_t bytes);
  /// bytes: a multiple of 4.
  void copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes);
  /// Waits for all that was queued. Returns what a kernel refused, four ints (platform.cuh's Fault), and forgets it.
  std::vector<std::int32_t> read(void* to, CUdeviceptr from, std::size_t bytes);
  CUdeviceptr fault() const { return fault_; }
  /// For a library that queues work of its own: makes the GPU the thread's, and where all work is queued.
  void enter() const;
  CUstream stream() const { return stream_; }

  /// A kernel's number, and the most block memory it will be launched with.
  int find(const std::string& name);
  void allow(int kernel, int block_bytes);
  /// arguments: eight bytes each. What the driver says against it may come out of a later call.
  void launch(int kernel, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned block_bytes, const void* arguments, int count);

 private:
  static std::size_t rounded(std::size_t bytes);
  CUdeviceptr take(std::size_t bytes);
  void wait();
  bool give_back_cached();
  void back(CUdeviceptr at, std::size_t bytes);
  Kernel& kernel(int number) { return kernels_.at(static_cast<std::size_t>(number)); }

  Driver driver_;
  Properties properties_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUmodule module_ = nullptr;
  std::deque<Kernel> kernels_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<Pages> pages_;  // none where the GPU cannot map memory
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
