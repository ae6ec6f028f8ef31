// See device.h.
#include "device.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

namespace attune::cuda {

namespace {

constexpr std::size_t half_bytes = 4u << 20;
constexpr std::size_t small = 1u << 20;

}  // namespace

Device::Device(const std::string& driver_path, const std::string& kernels, unsigned piece) : driver_(driver_path) {
  driver_.check(driver_.cuInit(0), "starting the driver");
  int count = 0;
  driver_.check(driver_.cuDeviceGetCount(&count), "counting GPUs");
  if (count == 0) throw std::runtime_error("the NVIDIA driver finds no GPU");
  CUdevice gpu;
  driver_.check(driver_.cuDeviceGet(&gpu, 0), "opening the first GPU");
  char name[128] = "";
  driver_.check(driver_.cuDeviceGetName(name, sizeof name, gpu), "asking for the GPU's name");
  properties_.name = name;
  const auto attribute = [&](int which) {
    int value = 0;
    driver_.check(driver_.cuDeviceGetAttribute(&value, which, gpu), "asking for the GPU's properties");
    return value;
  };
  properties_.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  properties_.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  properties_.processors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  properties_.block_bytes = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  driver_.check(driver_.cuDeviceTotalMem_v2(&properties_.memory_bytes, gpu), "asking for the GPU's memory");
  driver_.check(driver_.cuDriverGetVersion(&properties_.driver_version), "asking for the driver's version");
  if (properties_.major < 8) throw std::runtime_error(properties_.name + " is too old: tensor cores for bf16 came with compute capability 8.0 (Ampere)");

  driver_.check(driver_.cuDevicePrimaryCtxRetain(&context_, gpu), "starting to use the GPU");
  driver_.check(driver_.cuCtxSetCurrent(context_), "starting to use the GPU");
  if (attribute(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED)) pages_ = std::make_unique<Pages>(driver_, gpu);
  driver_.check(driver_.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "making a stream");
  for (CUevent& event : sent_) driver_.check(driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
  std::ifstream file(kernels, std::ios::binary);
  const std::string binary((std::istreambuf_iterator<char>(file)), {});
  if (binary.empty()) throw std::runtime_error("its kernels are not built (" + kernels + " is missing)");
  driver_.check(driver_.cuModuleLoadData(&module_, binary.data()), "loading the kernels");
  void* pinned = nullptr;
  driver_.check(driver_.cuMemHostAlloc(&pinned, 2 * half_bytes, 0), "taking pinned memory");
  staging_ = static_cast<char*>(pinned);
  driver_.check(driver_.cuMemAlloc_v2(&fault_, 16), "taking memory");
  driver_.check(driver_.cuMemsetD8Async(fault_, 0, 16, stream_), "clearing memory");
  queue_ = std::make_unique<Queue>(driver_, context_, stream_, piece, kernel(find("move_all")));
}

void Device::enter() const {
  queue_->submit();
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
}

/// To 512 bytes, or to 2 MiB, so that sizes meet again.
std::size_t Device::rounded(std::size_t bytes) {
  const std::size_t unit = bytes < small ? 512 : 2 * small;
  return bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
}

CUdeviceptr Device::take(std::size_t bytes) {
  // a cached block may be an eighth larger than asked for
  const auto found = cached_.lower_bound(bytes);
  if (found != cached_.end() && found->first <= bytes + bytes / 8) {
    const CUdeviceptr at = found->second;
    used_[at].taken = found->first;
    cached_.erase(found);
    return at;
  }
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  CUdeviceptr at = 0;
  CUresult result = driver_.cuMemAlloc_v2(&at, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && give_back_cached()) result = driver_.cuMemAlloc_v2(&at, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) throw OutOfMemory{};
  driver_.check(result, "taking memory");
  used_[at].taken = bytes;
  return at;
}

/// For everything that was queued.
void Device::wait() {
  queue_->submit();
  driver_.check(driver_.cuStreamSynchronize(stream_), "waiting for the GPU");
  queue_->waited();
}

bool Device::give_back_cached() {
  wait();
  for (const auto& [size, block] : cached_) driver_.check(driver_.cuMemFree_v2(block), "giving back memory");
  const bool any = !cached_.empty();
  cached_.clear();
  return (pages_ && pages_->give_back_spare()) || any;
}

CUdeviceptr Device::alloc(std::size_t bytes, bool zero) {
  const CUdeviceptr at = take(rounded(bytes));
  used_[at].wanted = bytes;
  bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, this->bytes());
  if (zero && bytes > 0) {
    queue_->submit();  // whatever had this memory before
    driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
    driver_.check(driver_.cuMemsetD8Async(at, 0, bytes, stream_), "clearing memory");
  }
  return at;
}

CUdeviceptr Device::alloc_growing(std::size_t bytes) {
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  return pages_ ? pages_->reserve(bytes) : alloc(bytes, true);
}

void Device::back(CUdeviceptr at, std::size_t bytes) {
  if (!pages_ || !pages_->lacks(at, bytes)) return;
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  const auto waiting = [&] { wait(); };
  if (!pages_->back(at, bytes, waiting) && !(give_back_cached() && pages_->back(at, bytes, waiting))) throw OutOfMemory{};
  peak_bytes_ = std::max(peak_bytes_, this->bytes());
}

void Device::forget(CUdeviceptr at, std::size_t bytes) {
  if (pages_) pages_->forget(at, bytes);
}

void Device::copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  back(to, bytes);
  queue_->copy(to, from, bytes);
}

void Device::free(CUdeviceptr at) {
  if (pages_ && pages_->owns(at)) {
    wait();
    return pages_->free(at);
  }
  const auto found = used_.find(at);
  if (found == used_.end()) throw std::runtime_error("this tensor was freed");
  bytes_ -= found->second.wanted;
  // what is queued runs before whatever takes it next; the last of its size first, so that a step that comes again finds the same memory
  cached_.emplace_hint(cached_.lower_bound(found->second.taken), found->second.taken, at);
  used_.erase(found);
}

void Device::write(CUdeviceptr at, const void* from, std::size_t bytes) {
  back(at, bytes);
  if (queue_->write(at, from, bytes)) return;
  queue_->submit();
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  for (const char* data = static_cast<const char*>(from); bytes > 0;) {
    const std::size_t part = std::min(bytes, half_bytes);
    if (staged_ + part > half_bytes) {
      driver_.check(driver_.cuEventRecord(sent_[half_], stream_), "marking a copy");
      half_ = 1 - half_;
      staged_ = 0;
      driver_.check(driver_.cuEventSynchronize(sent_[half_]), "waiting for a copy");
    }
    char* stage = staging_ + half_ * half_bytes + staged_;
    std::memcpy(stage, data, part);
    driver_.check(driver_.cuMemcpyHtoDAsync_v2(at, stage, part, stream_), "copying to the GPU");
    staged_ += (part + 63) / 64 * 64;
    at += part;
    data += part;
    bytes -= part;
  }
}

std::vector<std::int32_t> Device::read(void* to, CUdeviceptr from, std::size_t bytes) {
  queue_->submit();
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  std::vector<std::int32_t> fault(4);
  if (bytes > 0) driver_.check(driver_.cuMemcpyDtoHAsync_v2(to, from, bytes, stream_), "copying from the GPU");
  driver_.check(driver_.cuMemcpyDtoHAsync_v2(fault.data(), fault_, 16, stream_), "copying from the GPU");
  driver_.check(driver_.cuStreamSynchronize(stream_), "waiting for the GPU");
  queue_->waited();
  if (fault[0] != 0) driver_.check(driver_.cuMemsetD8Async(fault_, 0, 16, stream_), "clearing memory");
  return fault;
}

int Device::find(const std::string& name) {
  CUfunction function = nullptr;
  driver_.check(driver_.cuModuleGetFunction(&function, module_, name.c_str()), ("finding the kernel " + name).c_str());
  kernels_.push_back({name, function, 48 * 1024});
  return static_cast<int>(kernels_.size()) - 1;
}

void Device::allow(int number, int block_bytes) {
  driver_.check(driver_.cuFuncSetAttribute(kernel(number).function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, block_bytes), "asking for block memory");
  kernel(number).block_bytes = static_cast<unsigned>(block_bytes);
}

void Device::launch(int number, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned block_bytes, const void* arguments, int count) {
  queue_->launch(kernel(number), gx, gy, gz, threads, block_bytes, arguments, static_cast<unsigned>(count));
}

}  // namespace attune::cuda
