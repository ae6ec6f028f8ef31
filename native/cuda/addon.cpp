// The CUDA device's border: memory, copies, launches and cuBLASLt's products, and nothing of what they mean: which kernels make a call of device.ts, and their checks, are
// src/engine/device/cuda/'s. Addresses cross as numbers (a GPU's lie below 2⁵³), kernels as the numbers `find` gave. Nothing else here sees N-API.
#include <napi.h>

#include <memory>

#include "cublas_lt.h"

namespace attune::cuda {
namespace {

constexpr napi_type_tag device_tag = {0x61747475'6e650002ull, 0x64657669'63650002ull};
constexpr napi_type_tag cublas_lt_tag = {0x61747475'6e650003ull, 0x6375626c'6173006cull};

double number(const Napi::CallbackInfo& info, std::size_t i) { return info[i].As<Napi::Number>().DoubleValue(); }
CUdeviceptr address(const Napi::CallbackInfo& info, std::size_t i) { return static_cast<CUdeviceptr>(number(info, i)); }

Device& device(const Napi::CallbackInfo& info) {
  bool match = false;
  if (info[0].IsExternal()) napi_check_object_type_tag(info.Env(), info[0], &device_tag, &match);
  if (!match) throw Napi::Error::New(info.Env(), "the first argument is no CUDA device");
  void* data = nullptr;
  napi_get_value_external(info.Env(), info[0], &data);
  return *static_cast<Device*>(data);
}

Napi::Value open(const Napi::CallbackInfo& info) {
  auto opened = std::make_unique<Device>(info[0].As<Napi::String>(), info[1].As<Napi::String>(), static_cast<unsigned>(number(info, 2)));
  const Properties p = opened->properties();
  const double fault = static_cast<double>(opened->fault());
  napi_value handle;
  napi_create_external(info.Env(), opened.release(), [](napi_env, void* data, void*) { delete static_cast<Device*>(data); }, nullptr, &handle);
  napi_type_tag_object(info.Env(), handle, &device_tag);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("handle", handle);
  out.Set("name", p.name);
  out.Set("capability", std::to_string(p.major) + "." + std::to_string(p.minor));
  out.Set("driverVersion", std::to_string(p.driver_version / 1000) + "." + std::to_string(p.driver_version % 1000 / 10));
  out.Set("processors", p.processors);
  out.Set("blockBytes", p.block_bytes);
  out.Set("memoryBytes", static_cast<double>(p.memory_bytes));
  out.Set("fault", fault);
  return out;
}

/// An address, or 0 when memory is out.
Napi::Value alloc(const Napi::CallbackInfo& info) {
  const double bytes = number(info, 1);
  try {
    if (bytes < 9e15) return Napi::Number::New(info.Env(), static_cast<double>(device(info).alloc(static_cast<std::size_t>(bytes), info[2].As<Napi::Boolean>())));
  } catch (const OutOfMemory&) {
  }
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value alloc_growing(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(device(info).alloc_growing(static_cast<std::size_t>(number(info, 1))))); }

Napi::Value forget(const Napi::CallbackInfo& info) {
  device(info).forget(address(info, 1), static_cast<std::size_t>(number(info, 2)));
  return info.Env().Undefined();
}

Napi::Value free(const Napi::CallbackInfo& info) {
  device(info).free(address(info, 1));
  return info.Env().Undefined();
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("bytes", static_cast<double>(device(info).bytes()));
  out.Set("peakBytes", static_cast<double>(device(info).peak_bytes()));
  return out;
}

struct Array {
  void* data = nullptr;
  std::size_t bytes = 0;
};
Array array(const Napi::CallbackInfo& info, std::size_t i) {
  const auto view = info[i].As<Napi::TypedArray>();
  return {static_cast<char*>(view.ArrayBuffer().Data()) + view.ByteOffset(), view.ByteLength()};
}

/// False: memory is out.
template <class Call>
Napi::Value had_memory(const Napi::CallbackInfo& info, const Call& call) {
  try {
    call();
  } catch (const OutOfMemory&) {
    return Napi::Boolean::New(info.Env(), false);
  }
  return Napi::Boolean::New(info.Env(), true);
}

Napi::Value write(const Napi::CallbackInfo& info) {
  const Array from = array(info, 2);
  return had_memory(info, [&] { device(info).write(address(info, 1), from.data, from.bytes); });
}

Napi::Value copy(const Napi::CallbackInfo& info) {
  return had_memory(info, [&] { device(info).copy(address(info, 1), address(info, 2), static_cast<std::size_t>(number(info, 3))); });
}

/// Into a typed array the caller made; what a kernel refused goes into four ints beside it.
Napi::Value read(const Napi::CallbackInfo& info) {
  const Array to = array(info, 2);
  const auto fault = device(info).read(to.data, address(info, 1), to.bytes);
  std::copy(fault.begin(), fault.end(), static_cast<std::int32_t*>(array(info, 3).data));
  return info.Env().Undefined();
}

Napi::Value driver_calls(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(device(info).driver_calls())); }

Napi::Value find(const Napi::CallbackInfo& info) {
  Device& gpu = device(info);
  const int kernel = gpu.find(info[1].As<Napi::String>());
  if (const int bytes = static_cast<int>(number(info, 2)); bytes > 48 * 1024) gpu.allow(kernel, bytes);
  return Napi::Number::New(info.Env(), kernel);
}

Napi::Value launch(const Napi::CallbackInfo& info) {
  const auto size = [&](std::size_t i) { return static_cast<unsigned>(number(info, i)); };
  device(info).launch(static_cast<int>(number(info, 1)), size(2), size(3), size(4), size(5), size(6), array(info, 7).data, static_cast<int>(number(info, 8)));
  return info.Env().Undefined();
}

/// cuBLASLt from the library at a path, or null where there is none. It is used with the device it was opened for.
Napi::Value open_cublas_lt(const Napi::CallbackInfo& info) {
  auto opened = CublasLt::open(device(info), info[1].As<Napi::String>());
  if (!opened) return info.Env().Null();
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("version", opened->version());
  napi_value handle;
  napi_create_external(info.Env(), opened.release(), [](napi_env, void* data, void*) { delete static_cast<CublasLt*>(data); }, nullptr, &handle);
  napi_type_tag_object(info.Env(), handle, &cublas_lt_tag);
  out.Set("handle", handle);
  return out;
}

/// LtProduct's fields in their order. False where it knows no algorithm for the shape.
Napi::Value multiply(const Napi::CallbackInfo& info) {
  bool match = false;
  if (info[0].IsExternal()) napi_check_object_type_tag(info.Env(), info[0], &cublas_lt_tag, &match);
  if (!match) throw Napi::Error::New(info.Env(), "the first argument is no cuBLASLt");
  void* data = nullptr;
  napi_get_value_external(info.Env(), info[0], &data);
  const auto size = [&](std::size_t i) { return static_cast<std::int64_t>(number(info, i)); };
  const LtProduct product{info[1].As<Napi::Boolean>(), info[2].As<Napi::Boolean>(), size(3), size(4), size(5), address(info, 6), address(info, 7),
                          address(info, 8), address(info, 9), static_cast<float>(number(info, 10)), static_cast<float>(number(info, 11))};
  return Napi::Boolean::New(info.Env(), static_cast<CublasLt*>(data)->multiply(product));
}

template <Napi::Value (*call)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return call(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New(env, guarded<open>));
  exports.Set("alloc", Napi::Function::New(env, guarded<alloc>));
  exports.Set("allocGrowing", Napi::Function::New(env, guarded<alloc_growing>));
  exports.Set("forget", Napi::Function::New(env, guarded<forget>));
  exports.Set("free", Napi::Function::New(env, guarded<free>));
  exports.Set("memory", Napi::Function::New(env, guarded<memory>));
  exports.Set("write", Napi::Function::New(env, guarded<write>));
  exports.Set("copy", Napi::Function::New(env, guarded<copy>));
  exports.Set("driverCalls", Napi::Function::New(env, guarded<driver_calls>));
  exports.Set("read", Napi::Function::New(env, guarded<read>));
  exports.Set("find", Napi::Function::New(env, guarded<find>));
  exports.Set("launch", Napi::Function::New(env, guarded<launch>));
  exports.Set("openCublasLt", Napi::Function::New(env, guarded<open_cublas_lt>));
  exports.Set("multiply", Napi::Function::New(env, guarded<multiply>));
  return exports;
}

}  // namespace
}  // namespace attune::cuda

static Napi::Object initialise_module(Napi::Env env, Napi::Object exports) { return attune::cuda::initialise(env, exports); }
NODE_API_MODULE(attune_cuda, initialise_module)
