// Products of bf16 matrices by NVIDIA's cuBLASLt, sums in f32, where its library is found: found while the program runs, never linked. Not what a product
// means, nor which go this way: src/engine/device/cuda/cublas-lt.ts. Nothing here waits, and the workspace is taken once, so that launches can be captured.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "cublas_lt_api.h"
#include "device.h"

namespace attune::cuda {

/// out(m,n) = alpha · a · b + beta · out (+ bias(m) on each column), dense and column by column: a is (m,k), or (k,m) where turned; b is (k,n), or (n,k).
/// a and b bf16, out and bias f32. Every address is a multiple of 16, and so are the bytes of a column.
struct LtProduct {
  bool turned_a, turned_b;
  std::int64_t m, n, k;
  CUdeviceptr a, b, bias, out;  // bias may be 0
  float alpha, beta;
};

class CublasLt {
 public:
  /// Null where there is no library at `path`. Throws why one that is there cannot be used.
  static std::unique_ptr<CublasLt> open(Device& device, const std::string& path);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  std::string version() const;
  /// False, and nothing done, where the library knows no algorithm for the shape.
  bool multiply(const LtProduct& product);

 private:
  struct Plan;
  CublasLt(Device& device, const lt::Library& library);
  void check(int status, const char* what) const;
  const Plan& plan_of(const LtProduct& product);

  Device& device_;
  lt::Library library_;
  lt::Handle handle_ = nullptr;
  lt::Preference preference_ = nullptr;
  CUdeviceptr workspace_ = 0;
  std::size_t workspace_bytes_ = 0;
  using Shape = std::tuple<bool, bool, bool, std::int64_t, std::int64_t, std::int64_t>;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace attune::cuda
