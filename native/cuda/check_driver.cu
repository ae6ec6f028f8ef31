// Not a kernel: holds what driver_library.h and driver.h say of the driver's interface to the toolkit's own cuda.h, wherever nvcc is. Compiled, never linked.
#include "driver_library.h"

namespace {

template <class A, class B>
constexpr bool same = false;
template <class A>
constexpr bool same<A, A> = true;

#define STRING(x) #x
// cuda.h renames functions to their latest version, so a name ending in _v2 here is what a plain one there becomes
#define X(name, arguments) static_assert(same<decltype(&::name), CUresult(CUDAAPI*) arguments>, "the driver's " STRING(name) " is declared otherwise");
ATTUNE_DRIVER(X)
#undef X

static_assert(sizeof(CUdevice) == 4 && sizeof(CUdeviceptr) == 8 && sizeof(CUresult) == 4 && sizeof(CUdevice_attribute) == 4 && sizeof(CUfunction_attribute) == 4);
static_assert(CUDA_SUCCESS == 0 && CUDA_ERROR_INVALID_VALUE == 1 && CUDA_ERROR_OUT_OF_MEMORY == 2 && CUDA_ERROR_NOT_FOUND == 500);
static_assert(CU_STREAM_NON_BLOCKING == 1 && CU_EVENT_DISABLE_TIMING == 2 && CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES == 8);
static_assert(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT == 16 && CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR == 75);
static_assert(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR == 76 && CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN == 97);
static_assert(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED == 102 && CU_MEM_ALLOC_GRANULARITY_RECOMMENDED == 1 && sizeof(CUmemAllocationGranularity_flags) == 4);
static_assert(CU_MEM_ALLOCATION_TYPE_PINNED == 1 && CU_MEM_HANDLE_TYPE_NONE == 0 && CU_MEM_LOCATION_TYPE_DEVICE == 1 && CU_MEM_ACCESS_FLAGS_PROT_READWRITE == 3);
// sizes and places as driver.h's own structs have them
static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS) == 72 && offsetof(CUDA_KERNEL_NODE_PARAMS, gridDimX) == 8 && offsetof(CUDA_KERNEL_NODE_PARAMS, sharedMemBytes) == 32);
static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS, kernelParams) == 40 && offsetof(CUDA_KERNEL_NODE_PARAMS, kern) == 56 && offsetof(CUDA_KERNEL_NODE_PARAMS, ctx) == 64);
static_assert(sizeof(CUmemAllocationProp) == 32 && offsetof(CUmemAllocationProp, location) == 8 && sizeof(CUmemLocation) == 8 && sizeof(CUmemAccessDesc) == 12);

}  // namespace
