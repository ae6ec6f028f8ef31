// A file's bytes where they lie: nothing is read until it is touched, what is touched stays the system's to drop and to share between
// processes. Reading pages of a file that has become shorter ends the process (SIGBUS): who maps a file checks its size first.
#pragma once
#include <cstddef>
#include <memory>

namespace attune {

class Mapping {
 public:
  /// The whole of an open file, read-only; null where the system or the file's kind cannot (Windows, some network drives).
  static std::shared_ptr<Mapping> of(int fd);
  ~Mapping();
  Mapping(const Mapping&) = delete;

  const char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// Whether the file still has all the bytes it had.
  bool whole() const;

 private:
  Mapping(int fd, char* data, std::size_t bytes) : fd_(fd), data_(data), bytes_(bytes) {}
  int fd_;
  char* data_;
  std::size_t bytes_;
};

}  // namespace attune
