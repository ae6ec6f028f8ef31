// See mapping.h.
#include "mapping.h"

#ifndef _WIN32
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace attune {

#ifdef _WIN32

std::shared_ptr<Mapping> Mapping::of(int) { return nullptr; }
Mapping::~Mapping() {}
bool Mapping::whole() const { return false; }

#else

std::shared_ptr<Mapping> Mapping::of(int fd) {
  struct stat found;
  if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size <= 0) return nullptr;
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);  // the caller may close its own
  if (own < 0) return nullptr;
  const auto bytes = static_cast<std::size_t>(found.st_size);
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, own, 0);
  if (data == MAP_FAILED) {
    close(own);
    return nullptr;
  }
  return std::shared_ptr<Mapping>(new Mapping(own, static_cast<char*>(data), bytes));
}

Mapping::~Mapping() {
  munmap(data_, bytes_);
  close(fd_);
}

bool Mapping::whole() const {
  struct stat found;
  return fstat(fd_, &found) == 0 && static_cast<std::size_t>(found.st_size) >= bytes_;
}

#endif

}  // namespace attune
