// Host memory for tensors: 64-byte aligned, large blocks on huge pages, counted. Freed large blocks are kept for the next
// request of their size class, because fresh pages cost more than the kernels that fill them; blocks in use and kept ones
// together stay within 5/4 of the most ever in use.
#pragma once
#include <cstddef>
#include <map>
#include <vector>

namespace attune {

class Memory {
 public:
  ~Memory();
  /// Zero-filled unless `dirty` (then *dirty says whether the caller must clear it); nullptr when memory is out.
  void* alloc(std::size_t bytes, bool* dirty);
  void free(void* data, std::size_t bytes);
  std::size_t bytes() const { return bytes_; }
  std::size_t peak_bytes() const { return peak_bytes_; }

 private:
  void release(std::size_t needed);
  std::size_t bytes_ = 0;
  std::size_t peak_bytes_ = 0;
  std::size_t held_ = 0;   // in use, by class size
  std::size_t peak_held_ = 0;
  std::size_t spare_bytes_ = 0;
  std::map<std::size_t, std::vector<void*>> spare_;  // class size → blocks
};

}  // namespace attune
