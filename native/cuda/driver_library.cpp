// See driver_library.h.
#include "driver_library.h"

#include <stdexcept>

#include "library.h"

namespace attune::cuda {

namespace {

#ifdef _WIN32
constexpr const char* library = "nvcuda.dll";
#else
constexpr const char* library = "libcuda.so.1";
#endif

template <class F>
void find(F*& function, void* from, const char* name) {
  function = reinterpret_cast<F*>(find_symbol(from, name));
  if (!function) throw std::runtime_error(std::string("the driver's library has no ") + name + "; a newer NVIDIA driver is needed");
}

}  // namespace

Driver::Driver(const std::string& path) {
  void* opened = open_library(path.empty() ? library : path.c_str());
  if (!opened) throw std::runtime_error(std::string("there is no NVIDIA driver here (") + library + " is not found); it needs an NVIDIA GPU and its driver");
#define X(name, arguments) find(name, opened, #name);
  ATTUNE_DRIVER(X)
#undef X
  find(cuDeviceGetAttribute, opened, "cuDeviceGetAttribute");
  find(cuFuncSetAttribute, opened, "cuFuncSetAttribute");
  find(cuMemGetAllocationGranularity, opened, "cuMemGetAllocationGranularity");
}

void Driver::fail(CUresult result, const char* what) const {
  const char* text = nullptr;
  cuGetErrorString(result, &text);
  throw std::runtime_error(std::string(what) + " failed: the driver says \"" + (text ? text : "nothing") + "\" (" + std::to_string(result) + ")");
}

}  // namespace attune::cuda
