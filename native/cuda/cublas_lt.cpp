// See cublas_lt.h.
#include "cublas_lt.h"

#include <stdexcept>

#include "library.h"

namespace attune::cuda {

using namespace lt;

namespace {

/// Plans kept at once: packed batches differ in their tokens, so a long run meets ever more shapes. A shape's plan is the same whenever it is made.
constexpr std::size_t most_plans = 4096;
/// What every address is promised to be a multiple of, whatever it is, so that a plan, and with it the bits of a product, follows from the shape alone.
constexpr std::uint32_t alignment = 16;

}  // namespace

struct CublasLt::Plan {
  const Library& library;
  MatmulDesc product = nullptr;
  MatrixLayout a = nullptr, b = nullptr, out = nullptr;
  Algorithm algorithm{};
  bool found = false;

  explicit Plan(const Library& of) : library(of) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (MatrixLayout layout : {a, b, out})
      if (layout) library.cublasLtMatrixLayoutDestroy(layout);
    if (product) library.cublasLtMatmulDescDestroy(product);
  }
};

std::unique_ptr<CublasLt> CublasLt::open(Device& device, const std::string& path) {
  void* opened = open_library(path.c_str());
  if (!opened) return nullptr;
  Library library;
#define X(name, result, arguments)                                                      \
  library.name = reinterpret_cast<result(*) arguments>(find_symbol(opened, #name));     \
  if (!library.name) throw std::runtime_error("it has no " #name);
  ATTUNE_CUBLAS_LT(X)
#undef X
  return std::unique_ptr<CublasLt>(new CublasLt(device, library));
}

CublasLt::CublasLt(Device& device, const Library& library) : device_(device), library_(library) {
  device_.enter();
  check(library_.cublasLtMatmulPreferenceCreate(&preference_), "making a preference");
  // as much as NVIDIA gives its own callers
  const std::uint64_t bytes = device_.properties().major >= 9 ? 32u << 20 : 4u << 20;
  // parts of a deep product are added in a step of their own, never as they come
  const std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const auto prefer = [&](int attribute, const auto& value) {
    check(library_.cublasLtMatmulPreferenceSetAttribute(preference_, attribute, &value, sizeof value), "stating a preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes);
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction);
  for (int which : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(which, alignment);
  check(library_.cublasLtCreate(&handle_), "starting it");
  try {
    workspace_ = device_.alloc(bytes, false);
  } catch (const OutOfMemory&) {
    throw std::runtime_error("the GPU has no memory left for its workspace");
  }
  workspace_bytes_ = bytes;
}

CublasLt::~CublasLt() {
  plans_.clear();
  library_.cublasLtMatmulPreferenceDestroy(preference_);
  library_.cublasLtDestroy(handle_);
}

std::string CublasLt::version() const {
  const std::size_t version = library_.cublasLtGetVersion();
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

void CublasLt::check(int status, const char* what) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(what) + " failed: cuBLASLt " + version() + " says \"" + library_.cublasLtGetStatusString(status) + "\" (" + std::to_string(status) + ")");
}

const CublasLt::Plan& CublasLt::plan_of(const LtProduct& p) {
  const Shape shape{p.turned_a, p.turned_b, p.bias != 0, p.m, p.n, p.k};
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return *known->second;

  auto plan = std::make_unique<Plan>(library_);
  check(library_.cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
  const auto describe = [&](int attribute, const auto& value) {
    check(library_.cublasLtMatmulDescSetAttribute(plan->product, attribute, &value, sizeof value), "describing a product");
  };
  const std::int32_t turned = CUBLAS_OP_T;
  if (p.turned_a) describe(CUBLASLT_MATMUL_DESC_TRANSA, turned);
  if (p.turned_b) describe(CUBLASLT_MATMUL_DESC_TRANSB, turned);
  if (p.bias) {
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<std::uint32_t>(CUBLASLT_EPILOGUE_BIAS));
    describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, CUdeviceptr{alignment});  // stands for any of that alignment while an algorithm is chosen
  }
  const auto lay_out = [&](MatrixLayout& layout, int type, std::int64_t rows, std::int64_t columns) {
    check(library_.cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), rows), "describing a matrix");
  };
  lay_out(plan->a, CUDA_R_16BF, p.turned_a ? p.k : p.m, p.turned_a ? p.m : p.k);
  lay_out(plan->b, CUDA_R_16BF, p.turned_b ? p.n : p.k, p.turned_b ? p.k : p.n);
  lay_out(plan->out, CUDA_R_32F, p.m, p.n);

  Heuristic best{};
  int count = 0;
  const int status = library_.cublasLtMatmulAlgoGetHeuristic(handle_, plan->product, plan->a, plan->b, plan->out, plan->out, preference_, 1, &best, &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "choosing an algorithm");
  plan->found = status == CUBLAS_STATUS_SUCCESS && count == 1 && best.state == CUBLAS_STATUS_SUCCESS;
  plan->algorithm = best.algo;
  if (plans_.size() == most_plans) plans_.clear();
  return *(plans_[shape] = std::move(plan));
}

bool CublasLt::multiply(const LtProduct& p) {
  device_.enter();
  const Plan& plan = plan_of(p);
  if (!plan.found) return false;
  if (p.bias) check(library_.cublasLtMatmulDescSetAttribute(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p.bias, sizeof p.bias), "describing a product");
  const auto at = [](CUdeviceptr address) { return reinterpret_cast<void*>(address); };
  check(library_.cublasLtMatmul(handle_, plan.product, &p.alpha, at(p.a), plan.a, at(p.b), plan.b, &p.beta, at(p.out), plan.out, at(p.out), plan.out, &plan.algorithm,
                                at(workspace_), workspace_bytes_, device_.stream()),
        "multiplying");
  return true;
}

}  // namespace attune::cuda
