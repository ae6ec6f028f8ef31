// A stand-in for libcuda.so: as much of the driver's interface as native/cuda/addon.cpp calls, over the emulated execution model and the machine's own
// memory. For tests only: nothing installs it where a driver is looked for. What a stream is given runs, in order, as late as a GPU may run it: when somebody
// waits; so what is overwritten, freed or unmapped too early shows. memory.h is its memory, graphs.h its graphs.
#include "execution.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <set>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#include "../driver.h"
#include "../kernels.cu"

namespace emulator {

Thread* thread;
dim3 block, block_size, grid_size;
unsigned char* block_memory;
static float product_sums[32][4];
float (*products)[4] = product_sums;

std::map<std::string, Call>& kernels() {
  static std::map<std::string, Call> all;
  return all;
}

namespace {

constexpr std::size_t stack_bytes = 96 * 1024;
constexpr unsigned most_threads = 1024, most_block_bytes = 101376;  // what an sm_86 card gives one block

enum class State { ready, at_warp, at_block, done };

struct Fiber {
  Thread thread;
  State state;
  jmp_buf at;
  ucontext_t start;
  std::vector<char> stack;
  bool begun = false;
};

std::vector<Fiber> fibers;
Fiber* current;
jmp_buf scheduler;
const Call* body;
void** body_arguments;
Shown shown[most_threads / 32][2][32];

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "emulator: %s (block %u, %u, %u; thread %u)\n", why, block.x, block.y, block.z, thread ? thread->at.x : 0);
  std::abort();
}

void pause(State state) {
  current->state = state;
  if (!_setjmp(current->at)) _longjmp(scheduler, 1);
}

/// A fiber lives as long as the program and runs one thread of a block after the other.
void live() {
  for (;;) {
    body->run(body_arguments);
    pause(State::done);
  }
}

void resume(Fiber& fiber) {
  current = &fiber;
  thread = &fiber.thread;
  if (_setjmp(scheduler)) return;
  if (fiber.begun) _longjmp(fiber.at, 1);
  fiber.begun = true;
  fiber.stack.resize(stack_bytes);
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack.data();
  fiber.start.uc_stack.ss_size = stack_bytes;
  makecontext(&fiber.start, live, 0);
  setcontext(&fiber.start);
}

/// Runs a warp until its lanes wait for the block or are done.
State run_warp(Fiber* lanes, unsigned count) {
  for (;;) {
    for (unsigned i = 0; i < count; i++) resume(lanes[i]);
    for (unsigned i = 1; i < count; i++)
      if (lanes[i].state != lanes[0].state) stop("the lanes of a warp wait at different barriers, or some have ended");
    if (lanes[0].state != State::at_warp) return lanes[0].state;
  }
}

/// backwards: its last warp first, so that what a missing barrier would leave to chance comes out otherwise.
void run_block(unsigned threads, bool backwards) {
  for (unsigned i = 0; i < threads; i++) {
    fibers[i].thread = Thread{{i, 0, 0}, static_cast<int>(i % 32), 0, shown[i / 32]};
    fibers[i].state = State::ready;
  }
  for (;;) {
    unsigned done = 0;
    const unsigned warps = (threads + 31) / 32;
    for (unsigned w = 0; w < warps; w++) {
      const unsigned i = (backwards ? warps - 1 - w : w) * 32;
      done += run_warp(&fibers[i], std::min(32u, threads - i)) == State::done;
    }
    if (done == warps) return;
    if (done > 0) stop("some warps of a block have ended while others wait for them");
  }
}

std::map<const Call*, int> block_limits;
std::deque<std::function<void()>> waiting;  // what the stream was given and nobody has waited for

void later(std::function<void()> work) { waiting.push_back(std::move(work)); }
}  // namespace

void run_all() {
  for (; !waiting.empty(); waiting.pop_front()) waiting.front()();
}

void meet_block() { pause(State::at_block); }
void meet_warp() { pause(State::at_warp); }

void launch(const Call& kernel, void** arguments, dim3 grid, dim3 threads, unsigned block_bytes) {
  static std::vector<unsigned char> memory(most_block_bytes + 16);
  if (fibers.empty()) fibers.resize(most_threads);
  std::memset(memory.data(), 0xff, memory.size());  // NaN, whatever it is read as
  block_memory = memory.data() + (16 - reinterpret_cast<std::uintptr_t>(memory.data()) % 16) % 16;
  (void)block_bytes;
  body = &kernel;
  body_arguments = arguments;
  grid_size = grid;
  block_size = threads;
  static bool backwards = true;
  backwards = !backwards;  // every second launch, blocks and warps go the other way round
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t i = 0; i < blocks; i++) {
    const std::uint64_t at = backwards ? blocks - 1 - i : i;
    block = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y), static_cast<unsigned>(at / grid.x / grid.y)};
    run_block(threads.x, backwards);
  }
}

}  // namespace emulator

#include "graphs.h"
#include "memory.h"

using namespace emulator;

extern "C" {
#define API __attribute__((visibility("default"))) CUresult

API cuInit(unsigned) { return CUDA_SUCCESS; }
API cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
API cuGetErrorString(CUresult result, const char** text) { return *text = result == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "invalid argument", CUDA_SUCCESS; }
API cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
API cuDeviceGet(CUdevice* device, int) { return *device = 0, CUDA_SUCCESS; }
API cuDeviceGetName(char* name, int length, CUdevice) { return std::snprintf(name, static_cast<std::size_t>(length), "emulated GPU"), CUDA_SUCCESS; }
API cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return *value = 4, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return *value = 8, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return *value = 6, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return *value = most_block_bytes, CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: return *value = 1, CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
}
API cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice) { return *bytes = memory_bytes, CUDA_SUCCESS; }
API cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) { return *context = nullptr, CUDA_SUCCESS; }
API cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
API cuStreamCreate(CUstream* stream, unsigned) { return *stream = nullptr, CUDA_SUCCESS; }
API cuStreamSynchronize(CUstream) { return run_all(), CUDA_SUCCESS; }
API cuEventCreate(CUevent* event, unsigned) { return *event = nullptr, CUDA_SUCCESS; }
API cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
API cuEventSynchronize(CUevent) { return run_all(), CUDA_SUCCESS; }
API cuModuleLoadData(CUmodule* module, const void*) { return *module = nullptr, CUDA_SUCCESS; }
API cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  const auto found = kernels().find(name);
  if (found == kernels().end()) return CUDA_ERROR_NOT_FOUND;
  return *function = reinterpret_cast<CUfunction>(&found->second), CUDA_SUCCESS;
}
API cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > static_cast<int>(most_block_bytes)) return CUDA_ERROR_INVALID_VALUE;
  return block_limits[reinterpret_cast<const Call*>(function)] = value, CUDA_SUCCESS;
}
API cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned block_bytes, CUstream,
                   void** arguments, void**) {
  Node node;
  if (!node.set({function, gx, gy, gz, bx, by, bz, block_bytes, arguments, nullptr, nullptr, nullptr})) return CUDA_ERROR_INVALID_VALUE;
  return later([node] { node.run(); }), CUDA_SUCCESS;
}

API cuGraphCreate(CUgraph* graph, unsigned flags) { return flags ? CUDA_ERROR_INVALID_VALUE : create_graph(*graph); }
API cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* before, std::size_t count, const CUDA_KERNEL_NODE_PARAMS* launch) {
  return add_node(*node, graph, before, count, *launch);
}
API cuGraphInstantiateWithFlags(CUgraphExec* ready, CUgraph graph, unsigned long long flags) { return flags ? CUDA_ERROR_INVALID_VALUE : instantiate(*ready, graph); }
API cuGraphExecKernelNodeSetParams_v2(CUgraphExec ready, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* launch) { return set_node(ready, node, *launch); }
API cuGraphLaunch(CUgraphExec ready, CUstream) { return launch_graph(ready); }
API cuGraphExecDestroy(CUgraphExec ready) { return destroy_ready(ready); }
API cuGraphDestroy(CUgraph graph) { return destroy_graph(graph); }

API cuMemAlloc_v2(CUdeviceptr* at, std::size_t bytes) { return allocate(*at, bytes); }
API cuMemFree_v2(CUdeviceptr at) { return release(at); }
API cuMemGetAllocationGranularity(std::size_t* bytes, const CUmemAllocationProp*, int) { return *bytes = page_bytes, CUDA_SUCCESS; }
API cuMemAddressReserve(CUdeviceptr* at, std::size_t bytes, std::size_t, CUdeviceptr, unsigned long long) { return reserve(*at, bytes); }
API cuMemAddressFree(CUdeviceptr at, std::size_t bytes) { return unreserve(at, bytes); }
API cuMemCreate(CUmemGenericAllocationHandle* page, std::size_t bytes, const CUmemAllocationProp*, unsigned long long) { return create_page(*page, bytes); }
API cuMemRelease(CUmemGenericAllocationHandle page) { return release_page(page); }
API cuMemMap(CUdeviceptr at, std::size_t bytes, std::size_t offset, CUmemGenericAllocationHandle page, unsigned long long) {
  return offset ? CUDA_ERROR_INVALID_VALUE : map_page(at, bytes, page);
}
API cuMemUnmap(CUdeviceptr at, std::size_t bytes) { return unmap_page(at, bytes); }
API cuMemSetAccess(CUdeviceptr at, std::size_t bytes, const CUmemAccessDesc*, std::size_t) { return open_page(at, bytes); }
API cuMemHostAlloc(void** at, std::size_t bytes, unsigned) { return *at = std::malloc(bytes), CUDA_SUCCESS; }
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream) {  // from pinned memory, which is read when it is the copy's turn
  if (!known(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return later([=] { std::memcpy(reinterpret_cast<void*>(to), from, bytes); }), CUDA_SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream) {
  if (!known(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return later([=] { std::memcpy(to, reinterpret_cast<void*>(from), bytes); }), CUDA_SUCCESS;
}
API cuMemsetD8Async(CUdeviceptr at, unsigned char value, std::size_t bytes, CUstream) {
  if (!known(at, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return later([=] { std::memset(reinterpret_cast<void*>(at), value, bytes); }), CUDA_SUCCESS;
}
}
