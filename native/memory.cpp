// See memory.h.
#include "memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef _WIN32
#include <malloc.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace attune {

namespace {

constexpr std::size_t small_limit = 64 * 1024;
constexpr std::size_t huge_page = 2 * 1024 * 1024;
constexpr std::size_t stretch_bytes = 16 * huge_page;

/// Whole cache lines, or whole pages.
std::size_t rounded(std::size_t bytes) {
  const std::size_t unit = bytes < small_limit ? 64 : 4096;
  return bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
}

#ifndef _WIN32
/// From a huge page's start on.
void* whole_huge_pages(std::size_t bytes) {
  // Over-ask, then trim, so that the block starts on a huge page.
  char* base = static_cast<char*>(mmap(nullptr, bytes + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (base == MAP_FAILED) return nullptr;
  const std::size_t ahead = (huge_page - reinterpret_cast<std::size_t>(base) % huge_page) % huge_page;
  if (ahead) munmap(base, ahead);
  munmap(base + ahead + bytes, huge_page - ahead);
#ifdef MADV_HUGEPAGE
  madvise(base + ahead, bytes, MADV_HUGEPAGE);
#endif
  return base + ahead;
}
#endif

void* take(std::size_t bytes) {
#ifdef _WIN32
  void* data = _aligned_malloc(bytes, 64);
  if (data) std::memset(data, 0, bytes);
  return data;
#else
  if (bytes < small_limit) {
    void* data = nullptr;
    if (posix_memalign(&data, 64, bytes) != 0) return nullptr;
    std::memset(data, 0, bytes);
    return data;
  }
  // Linux lends more than it has: refuse what the machine could never hold, so that the caller hears it now.
  const std::size_t physical = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (bytes > physical) return nullptr;
  return whole_huge_pages(bytes);
#endif
}

void give(void* data, std::size_t bytes) {
#ifdef _WIN32
  (void)bytes;
  _aligned_free(data);
#else
  if (bytes < small_limit)
    std::free(data);
  else
    munmap(data, bytes);
#endif
}

}  // namespace

// A model's weights are mostly smaller than a few huge pages. Each on pages of 4 KiB, a step of decoding walked a page table every 4 KiB and the
// processor's own fetching ahead ended there.
void* Memory::cut(std::size_t bytes) {
#ifdef _WIN32
  (void)bytes;
  return nullptr;
#else
  if (bytes < small_limit || bytes > stretch_bytes / 2) return nullptr;
  if (stretches_.empty() || stretches_.back().used + bytes > stretch_bytes) {
    void* base = whole_huge_pages(stretch_bytes);
    if (!base) return nullptr;
    stretches_.push_back({static_cast<char*>(base), 0, 0});
  }
  Stretch& last = stretches_.back();
  void* data = last.base + last.used;
  last.used += bytes;
  last.live += bytes;
  return data;
#endif
}

/// False where it was not cut.
bool Memory::uncut(void* data, std::size_t bytes) {
#ifndef _WIN32
  for (std::size_t i = 0; i < stretches_.size(); i++) {
    Stretch& stretch = stretches_[i];
    if (data < stretch.base || data >= stretch.base + stretch_bytes) continue;
    stretch.live -= bytes;
    if (stretch.live == 0) {
      munmap(stretch.base, stretch_bytes);
      stretches_.erase(stretches_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      madvise(data, bytes, MADV_DONTNEED);
    }
    return true;
  }
#endif
  return false;
}

void* Memory::alloc(std::size_t wanted) {
  const std::size_t bytes = rounded(wanted);
  void* data = cut(bytes);
  if (!data) data = take(bytes);
  if (!data) return nullptr;
  bytes_ += wanted;
  if (bytes_ > peak_bytes_) peak_bytes_ = bytes_;
  return data;
}

void Memory::free(void* data, std::size_t wanted) {
  bytes_ -= wanted;
  if (!uncut(data, rounded(wanted))) give(data, rounded(wanted));
}

}  // namespace attune
