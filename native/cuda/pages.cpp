// See pages.h.
#include "pages.h"

namespace attune::cuda {

Pages::Pages(const Driver& driver, CUdevice gpu) : driver_(driver) {
  kind_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind_.location = {CU_MEM_LOCATION_TYPE_DEVICE, gpu};
  driver_.check(driver_.cuMemGetAllocationGranularity(&page_, &kind_, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED), "asking for the size of a page");
}

CUdeviceptr Pages::reserve(std::size_t bytes) {
  const std::size_t count = bytes == 0 ? 1 : (bytes + page_ - 1) / page_;
  CUdeviceptr at = 0;
  driver_.check(driver_.cuMemAddressReserve(&at, count * page_, 0, 0, 0), "reserving addresses");
  ranges_[at].resize(count);
  return at;
}

/// That `at` lies in, or the end.
Pages::Ranges::iterator Pages::range_of(CUdeviceptr at) {
  auto next = ranges_.upper_bound(at);
  if (next == ranges_.begin()) return ranges_.end();
  --next;
  return at < next->first + next->second.size() * page_ ? next : ranges_.end();
}

bool Pages::lacks(CUdeviceptr at, std::size_t bytes) {
  const auto found = range_of(at);
  if (found == ranges_.end() || bytes == 0) return false;
  for (std::size_t i = (at - found->first) / page_; i <= (at + bytes - 1 - found->first) / page_; i++)
    if (found->second.at(i).state != Page::used) return true;
  return false;
}

bool Pages::back(CUdeviceptr at, std::size_t bytes, const std::function<void()>& wait) {
  auto& [start, pages] = *range_of(at);
  const CUmemAccessDesc access{kind_.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  for (std::size_t i = (at - start) / page_; i <= (at + bytes - 1 - start) / page_; i++) {
    Page& page = pages.at(i);
    if (page.state == Page::used) continue;
    if (page.state == Page::none && !take(page.memory, wait)) return false;
    if (page.state == Page::forgotten) {
      forgotten_--;
    } else {
      driver_.check(driver_.cuMemMap(start + i * page_, page_, 0, page.memory, 0), "mapping memory");
      driver_.check(driver_.cuMemSetAccess(start + i * page_, page_, &access, 1), "mapping memory");
    }
    page.state = Page::used;
    used_++;
  }
  return true;
}

/// A page that nobody has.
bool Pages::take(CUmemGenericAllocationHandle& memory, const std::function<void()>& wait) {
  if (spare_.empty() && forgotten_ > 0) {
    wait();
    unmap_forgotten();
  }
  if (!spare_.empty()) {
    memory = spare_.back();
    spare_.pop_back();
    return true;
  }
  const CUresult result = driver_.cuMemCreate(&memory, page_, &kind_, 0);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) return false;
  driver_.check(result, "taking memory");
  return true;
}

void Pages::unmap(CUdeviceptr at, Page& page) {
  driver_.check(driver_.cuMemUnmap(at, page_), "unmapping memory");
  spare_.push_back(page.memory);
  page = {};
}

void Pages::unmap_forgotten() {
  for (auto& [start, pages] : ranges_)
    for (std::size_t i = 0; forgotten_ > 0 && i < pages.size(); i++) {
      if (pages[i].state != Page::forgotten) continue;
      unmap(start + i * page_, pages[i]);
      forgotten_--;
    }
}

void Pages::forget(CUdeviceptr at, std::size_t bytes) {
  const auto found = range_of(at);
  if (found == ranges_.end()) return;
  auto& [start, pages] = *found;
  for (std::size_t i = (at - start + page_ - 1) / page_; (i + 1) * page_ <= at - start + bytes; i++) {
    if (pages.at(i).state != Page::used) continue;
    pages[i].state = Page::forgotten;
    used_--;
    forgotten_++;
  }
}

void Pages::free(CUdeviceptr at) {
  auto& pages = ranges_.at(at);
  for (std::size_t i = 0; i < pages.size(); i++) {
    if (pages[i].state == Page::none) continue;
    (pages[i].state == Page::used ? used_ : forgotten_)--;
    unmap(at + i * page_, pages[i]);
  }
  driver_.check(driver_.cuMemAddressFree(at, pages.size() * page_), "giving back addresses");
  ranges_.erase(at);
}

bool Pages::give_back_spare() {
  unmap_forgotten();
  const bool any = !spare_.empty();
  for (const auto memory : spare_) driver_.check(driver_.cuMemRelease(memory), "giving back memory");
  spare_.clear();
  return any;
}

}  // namespace attune::cuda
