// Host memory for tensors: 64-byte aligned, all but small blocks on huge pages, counted. It keeps nothing that is freed: fresh pages cost more
// than the kernels that fill them, so what a step needs again and again is cut from one block by its owner (src/engine/ops/pool.ts).
#pragma once
#include <cstddef>
#include <vector>

namespace attune {

class Memory {
 public:
  /// Zero-filled; nullptr when memory is out.
  void* alloc(std::size_t bytes);
  void free(void* data, std::size_t bytes);
  std::size_t bytes() const { return bytes_; }
  std::size_t peak_bytes() const { return peak_bytes_; }

 private:
  /// A stretch of huge pages that blocks of a few pages to some MiB lie in, one behind the other. It goes with the last of them.
  struct Stretch {
    char* base;
    std::size_t used, live;
  };
  void* cut(std::size_t bytes);
  bool uncut(void* data, std::size_t bytes);

  std::vector<Stretch> stretches_;
  std::size_t bytes_ = 0;
  std::size_t peak_bytes_ = 0;
};

}  // namespace attune
