// The emulated GPU's memory: the machine's own, filled with NaN, as much as memory_bytes. Nobody may free what the stream's work could still use. Pages are
// files that are mapped where they are asked for: what touches an address without one ends the program. They are smaller than a GPU's, so that tests are.
#pragma once

namespace emulator {
namespace {

constexpr std::size_t memory_bytes = 512u << 20;
std::map<CUdeviceptr, std::size_t> allocated;
std::size_t in_use;

constexpr std::size_t page_bytes = 64 * 1024;
struct Mapped {
  CUmemGenericAllocationHandle page;
  bool open;
};
std::map<CUdeviceptr, std::size_t> reserved;
std::map<CUmemGenericAllocationHandle, std::FILE*> pages;
std::map<CUdeviceptr, Mapped> mapped;

bool paged(CUdeviceptr at, std::size_t bytes) {
  for (CUdeviceptr page = at / page_bytes * page_bytes; page < at + bytes; page += page_bytes)
    if (const auto found = mapped.find(page); found == mapped.end() || !found->second.open) return false;
  return true;
}

}  // namespace

bool known(CUdeviceptr at, std::size_t bytes) {
  if (paged(at, bytes)) return true;
  auto next = allocated.upper_bound(at);
  if (next == allocated.begin()) return false;
  const auto& [start, length] = *--next;
  return at + bytes <= start + length;
}

namespace {

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

void* as_pointer(CUdeviceptr at) { return reinterpret_cast<void*>(at); }

CUresult reserve(CUdeviceptr& at, std::size_t bytes) {
  if (bytes == 0 || bytes % page_bytes) return CUDA_ERROR_INVALID_VALUE;
  void* whole = mmap(nullptr, bytes + page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // one page more, so that the rest can begin at one
  at = (reinterpret_cast<CUdeviceptr>(whole) + page_bytes - 1) / page_bytes * page_bytes;
  reserved[at] = bytes;
  return CUDA_SUCCESS;
}

CUresult unreserve(CUdeviceptr at, std::size_t bytes) {
  const auto found = reserved.find(at), next = reserved.end();
  if (found == next || found->second != bytes) return CUDA_ERROR_INVALID_VALUE;
  if (mapped.lower_bound(at) != mapped.lower_bound(at + bytes)) return CUDA_ERROR_INVALID_VALUE;
  munmap(as_pointer(at), bytes);
  reserved.erase(found);
  return CUDA_SUCCESS;
}

CUresult create_page(CUmemGenericAllocationHandle& page, std::size_t bytes) {
  static CUmemGenericAllocationHandle last = 0;
  if (bytes != page_bytes) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > memory_bytes - in_use) return CUDA_ERROR_OUT_OF_MEMORY;
  std::FILE* file = std::tmpfile();
  const std::vector<unsigned char> nan(bytes, 0xff);
  if (!file || std::fwrite(nan.data(), 1, bytes, file) != bytes || std::fflush(file)) stop("no file for a page of memory");
  in_use += bytes;
  pages[page = ++last] = file;
  return CUDA_SUCCESS;
}

CUresult release_page(CUmemGenericAllocationHandle page) {
  const auto found = pages.find(page);
  if (found == pages.end() || std::any_of(mapped.begin(), mapped.end(), [&](const auto& other) { return other.second.page == page; })) return CUDA_ERROR_INVALID_VALUE;
  std::fclose(found->second);
  pages.erase(found);
  in_use -= page_bytes;
  return CUDA_SUCCESS;
}

CUresult map_page(CUdeviceptr at, std::size_t bytes, CUmemGenericAllocationHandle page) {
  auto range = reserved.upper_bound(at);
  if (range == reserved.begin() || bytes != page_bytes || at % page_bytes || mapped.count(at) || !pages.count(page)) return CUDA_ERROR_INVALID_VALUE;
  if (--range; at + bytes > range->first + range->second) return CUDA_ERROR_INVALID_VALUE;
  if (mmap(as_pointer(at), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, fileno(pages[page]), 0) == MAP_FAILED) stop("a page cannot be mapped");
  mapped[at] = {page, false};
  return CUDA_SUCCESS;
}

CUresult open_page(CUdeviceptr at, std::size_t bytes) {
  const auto found = mapped.find(at);
  if (found == mapped.end() || bytes != page_bytes) return CUDA_ERROR_INVALID_VALUE;
  found->second.open = true;
  return mprotect(as_pointer(at), bytes, PROT_READ | PROT_WRITE) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult unmap_page(CUdeviceptr at, std::size_t bytes) {
  if (bytes != page_bytes || !mapped.erase(at)) return CUDA_ERROR_INVALID_VALUE;
  if (!waiting.empty()) stop("memory is unmapped while the stream has work");
  mmap(as_pointer(at), bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace emulator
