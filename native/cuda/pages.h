// Memory that grows: a tensor has addresses for all it may come to from the start, and pages of memory behind those that were written. So kernels see one
// dense range, and a cache of keys and values takes the memory of the tokens it holds. After vAttention (Prabhu et al. 2024). A page is what the GPU maps at
// least (2 MiB). What is forgotten stays mapped until another place needs pages: then all of it moves to the spare ones.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "driver_library.h"

namespace attune::cuda {

class Pages {
 public:
  Pages(const Driver& driver, CUdevice gpu);

  /// Addresses, with nothing behind them.
  CUdeviceptr reserve(std::size_t bytes);
  /// Is it what reserve gave?
  bool owns(CUdeviceptr at) const { return ranges_.count(at) > 0; }
  /// Are these addresses from here, and not all of them backed?
  bool lacks(CUdeviceptr at, std::size_t bytes);
  /// Memory behind [at, at + bytes) of what reserve gave, with anything in it where there was none. False: memory is out, and what could be had is there.
  /// wait: for everything that was queued.
  bool back(CUdeviceptr at, std::size_t bytes, const std::function<void()>& wait);
  /// Pages that lie whole in [at, at + bytes) may go elsewhere.
  void forget(CUdeviceptr at, std::size_t bytes);
  /// Nothing that was queued may still use it, here and below.
  void free(CUdeviceptr at);
  /// And what is forgotten. False: there was nothing to give.
  bool give_back_spare();
  /// Behind what was written and not forgotten.
  std::size_t bytes() const { return used_ * page_; }

 private:
  struct Page {
    enum { none, used, forgotten } state = none;
    CUmemGenericAllocationHandle memory = 0;
  };
  using Ranges = std::map<CUdeviceptr, std::vector<Page>>;
  Ranges::iterator range_of(CUdeviceptr at);
  bool take(CUmemGenericAllocationHandle& memory, const std::function<void()>& wait);
  void unmap(CUdeviceptr at, Page& page);
  void unmap_forgotten();

  const Driver& driver_;
  CUmemAllocationProp kind_{};
  std::size_t page_ = 0, used_ = 0, forgotten_ = 0;
  Ranges ranges_;
  std::vector<CUmemGenericAllocationHandle> spare_;
};

}  // namespace attune::cuda
