// A stand-in for libcuda.so: as much of the driver's interface as native/cuda/addon.cpp calls, over the emulated execution model and the machine's own
// memory. For tests only: nothing installs it where a driver is looked for. The order of a stream is the order of calls.
#include "execution.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>
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
constexpr std::size_t memory_bytes = 512u << 20;

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
    (*body)(body_arguments);
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

}  // namespace

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

namespace {
std::map<CUdeviceptr, std::size_t> allocated;
std::size_t in_use;
std::map<const Call*, int> block_limits;
}  // namespace

bool known(unsigned long long at, std::size_t bytes) {
  auto next = allocated.upper_bound(at);
  if (next == allocated.begin()) return false;
  const auto& [start, length] = *--next;
  return at + bytes <= start + length;
}

}  // namespace emulator

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
    default: return CUDA_ERROR_INVALID_VALUE;
  }
}
API cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice) { return *bytes = memory_bytes, CUDA_SUCCESS; }
API cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) { return *context = nullptr, CUDA_SUCCESS; }
API cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
API cuStreamCreate(CUstream* stream, unsigned) { return *stream = nullptr, CUDA_SUCCESS; }
API cuStreamSynchronize(CUstream) { return CUDA_SUCCESS; }
API cuEventCreate(CUevent* event, unsigned) { return *event = nullptr, CUDA_SUCCESS; }
API cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
API cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
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
  const Call* kernel = reinterpret_cast<const Call*>(function);
  const auto limit = block_limits.find(kernel);
  const unsigned most = limit == block_limits.end() ? 48 * 1024 : static_cast<unsigned>(limit->second);
  if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx == 0 || bx > most_threads || by != 1 || bz != 1 || block_bytes > most) return CUDA_ERROR_INVALID_VALUE;
  launch(*kernel, arguments, {gx, gy, gz}, {bx, by, bz}, block_bytes);
  return CUDA_SUCCESS;
}
API cuMemAlloc_v2(CUdeviceptr* at, std::size_t bytes) {
  if (bytes > memory_bytes - in_use) return CUDA_ERROR_OUT_OF_MEMORY;
  void* data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(data, 0xff, bytes);  // nobody promises zeros
  in_use += bytes;
  allocated[*at = reinterpret_cast<CUdeviceptr>(data)] = bytes;
  return CUDA_SUCCESS;
}
API cuMemFree_v2(CUdeviceptr at) {
  const auto found = allocated.find(at);
  if (found == allocated.end()) return CUDA_ERROR_INVALID_VALUE;
  in_use -= found->second;
  std::free(reinterpret_cast<void*>(at));
  allocated.erase(found);
  return CUDA_SUCCESS;
}
API cuMemHostAlloc(void** at, std::size_t bytes, unsigned) { return *at = std::malloc(bytes), CUDA_SUCCESS; }
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream) {
  if (!known(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return std::memcpy(reinterpret_cast<void*>(to), from, bytes), CUDA_SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream) {
  if (!known(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return std::memcpy(to, reinterpret_cast<void*>(from), bytes), CUDA_SUCCESS;
}
API cuMemsetD8Async(CUdeviceptr at, unsigned char value, std::size_t bytes, CUstream) {
  if (!known(at, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return std::memset(reinterpret_cast<void*>(at), value, bytes), CUDA_SUCCESS;
}
}
