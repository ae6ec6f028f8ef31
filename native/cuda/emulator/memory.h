// The emulated GPU's memory: the machine's own, filled with NaN, as much as memory_bytes. Nobody may free what the stream's work could still use.
#pragma once

namespace emulator {
namespace {

constexpr std::size_t memory_bytes = 512u << 20;
std::map<CUdeviceptr, std::size_t> allocated;
std::size_t in_use;

bool known(CUdeviceptr at, std::size_t bytes) {
  auto next = allocated.upper_bound(at);
  if (next == allocated.begin()) return false;
  const auto& [start, length] = *--next;
  return at + bytes <= start + length;
}

CUresult allocate(CUdeviceptr& at, std::size_t bytes) {
  if (bytes > memory_bytes - in_use) return CUDA_ERROR_OUT_OF_MEMORY;
  void* data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(data, 0xff, bytes);  // nobody promises zeros
  in_use += bytes;
  allocated[at = reinterpret_cast<CUdeviceptr>(data)] = bytes;
  return CUDA_SUCCESS;
}

CUresult release(CUdeviceptr at) {
  const auto found = allocated.find(at);
  if (found == allocated.end()) return CUDA_ERROR_INVALID_VALUE;
  if (!waiting.empty()) stop("memory is freed while the stream has work");
  in_use -= found->second;
  std::free(reinterpret_cast<void*>(at));
  allocated.erase(found);
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace emulator
