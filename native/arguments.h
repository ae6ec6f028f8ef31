// What crosses the border, and how arguments are read there: each is checked once, and an error names kernel, argument, what was expected
// and what came. A tensor is an External around a Block; a device is an External around a Device. Only addon.cpp and addon_memory.cpp include it.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include "context.h"
#include "mapping.h"
#include "together.h"

namespace attune {

enum class Storage { f32, bf16, i32, q8_0, int8, q4_0, nf4 };
constexpr const char* storage_names[] = {"f32", "bf16", "i32", "q8_0", "int8", "q4_0", "nf4"};
constexpr std::size_t storage_bytes[] = {4, 2, 4};
/// Q8_0 comes in blocks of 32 numbers with a scale, 34 bytes each.
constexpr i64 q8_0_block = 32;
/// Numbers of a block, 1 where there are none; and what a frozen matrix in blocks is to kernels.
inline i64 block_of(Storage storage) { return storage < Storage::q8_0 ? 1 : storage == Storage::nf4 ? 64 : 32; }
inline Blocks blocks_of(Storage storage) {
  return storage == Storage::int8 ? Blocks::int8 : storage == Storage::q4_0 ? Blocks::q4_0 : storage == Storage::nf4 ? Blocks::nf4 : Blocks::none;
}
inline std::size_t bytes_of(Storage storage, i64 length) {
  const auto blocks = static_cast<std::size_t>(length / block_of(storage));
  if (storage == Storage::q8_0 || storage == Storage::int8) return blocks * 34;
  if (storage == Storage::q4_0) return blocks * 18;
  if (storage == Storage::nf4) return 4 * 257 + 4 * ((blocks + 255) / 256) + 33 * blocks;  // blocks.h
  return static_cast<std::size_t>(length) * storage_bytes[static_cast<int>(storage)];
}

struct Device {
  Device(int threads, const Kernels& kernels) : context(threads, &memory), together(context, kernels) {}
  Memory memory;
  Context context;
  Together together;
};

/// What one alloc gave, or a part of a mapped file: freed when it is asked for, or when the last block in it is gone.
struct Allocation {
  std::shared_ptr<Device> device;
  void* data;
  std::size_t bytes;
  std::shared_ptr<Mapping> mapping;
  void release() {
    if (data) device->together.settle();
    if (data && !mapping) device->memory.free(data, bytes);
    mapping.reset();
    data = nullptr;
  }
  ~Allocation() { release(); }
};

/// A tensor: a whole allocation, or a view of part of one.
struct Block {
  std::shared_ptr<Allocation> home;
  void* data;
  Storage storage;
  i64 length;
  bool view;
  bool frozen = false;  // lies in a file
};

inline std::string human(std::size_t bytes) {
  char text[64];
  if (bytes < 1024 * 1024)
    std::snprintf(text, sizeof text, "%zu bytes", bytes);
  else
    std::snprintf(text, sizeof text, "%zu bytes (%.1f MiB)", bytes, static_cast<double>(bytes) / (1024 * 1024));
  return text;
}

/// What an External of ours points to: a word that says what it is, read in a nanosecond where a type tag of N-API's took 60, some 2,000 times a token.
template <class T>
struct Tagged {
  std::uint64_t tag;
  T value;
};
constexpr std::uint64_t device_tag = 0x6174756e'64657669ull, mapping_tag = 0x6174756e'6d617070ull, tensor_tag = 0x6174756e'74656e73ull;

/// Null where `value` is no External of that kind.
template <class T>
T* untagged(Napi::Env env, const Napi::Value& value, std::uint64_t tag) {
  void* data = nullptr;
  if (!value.IsExternal() || napi_get_value_external(env, value, &data) != napi_ok || !data) return nullptr;
  auto* tagged = static_cast<Tagged<T>*>(data);
  return tagged->tag == tag ? &tagged->value : nullptr;
}

template <class T>
Napi::Value tagged_external(Napi::Env env, T value, std::uint64_t tag) {
  napi_value external;
  napi_create_external(env, new Tagged<T>{tag, std::move(value)}, [](napi_env, void* p, void*) { delete static_cast<Tagged<T>*>(p); }, nullptr, &external);
  return Napi::Value(env, external);
}

/// Whether a call leaves linears waiting (together.h): only one that touches nothing they do.
enum class Waiting { settle, leave };

/// Reads a kernel's arguments in order. The first is the device.
class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, const char* kernel, Waiting waiting = Waiting::settle) : info_(info), kernel_(kernel) {
    device_ = *external<std::shared_ptr<Device>>(device_tag, "device", "a native device");
    if (waiting == Waiting::leave) return;
    try {
      device_->together.settle();
    } catch (const std::bad_alloc&) {
      fail_for_scratch();
    }
  }

  [[noreturn]] void fail_for_scratch() {
    fail("out of memory for scratch while " + human(device_->memory.bytes()) + " are in use; use a smaller batch or a shorter maxLength");
  }

  Device& device() { return *device_; }
  Context& context() { return device_->context; }
  std::shared_ptr<Device> shared() { return device_; }

  [[noreturn]] void fail(const std::string& text) { throw Napi::Error::New(info_.Env(), std::string(kernel_) + ": " + text); }

  std::shared_ptr<Mapping>& mapping() { return *external<std::shared_ptr<Mapping>>(mapping_tag, "mapping", "a mapped file"); }
  Block& tensor(const char* name) {
    Block& block = *external<Block>(tensor_tag, name, "a tensor of the native device");
    if (!block.home->data) fail(std::string(name) + ": this tensor was freed");
    return block;
  }
  Block* optional(const char* name) {
    const Napi::Value value = info_[next_];
    if (value.IsNull() || value.IsUndefined()) {
      next_++;
      return nullptr;
    }
    return &tensor(name);
  }
  double number(const char* name) {
    const Napi::Value value = info_[next_++];
    if (!value.IsNumber()) fail(std::string(name) + ": expected a number, got " + describe(value));
    return value.As<Napi::Number>().DoubleValue();
  }
  i64 integer(const char* name, i64 least = 0) {
    const double value = number(name);
    if (!(value >= static_cast<double>(least) && value <= 9007199254740991.0) || value != std::floor(value))
      fail(std::string(name) + ": expected an integer of at least " + std::to_string(least) + ", got " + Napi::Number::New(info_.Env(), value).ToString().Utf8Value());
    return static_cast<i64>(value);
  }
  Napi::Value any() { return info_[next_++]; }

  struct Array {
    napi_typedarray_type type;
    i64 length;
    void* data;
  };
  Array array(const Napi::Value& value) {
    if (!value.IsTypedArray()) fail("data: expected a typed array, got " + describe(value));
    napi_typedarray_type type;
    std::size_t length = 0;
    void* data = nullptr;
    napi_get_typedarray_info(info_.Env(), value, &type, &length, &data, nullptr, nullptr);
    return {type, static_cast<i64>(length), data};
  }

  template <class T>
  T* need(Block& block, const char* name, Storage storage, i64 length) {
    if (block.storage != storage)
      fail(std::string(name) + ": expected " + storage_names[static_cast<int>(storage)] + ", got " + storage_names[static_cast<int>(block.storage)]);
    if (block.length < length)
      fail(std::string(name) + ": expected at least " + std::to_string(length) + " elements, got " + std::to_string(block.length));
    return static_cast<T*>(block.data);
  }
  float* f32(Block& block, const char* name, i64 length) { return need<float>(block, name, Storage::f32, length); }
  float* f32(Block* block, const char* name, i64 length) { return block ? f32(*block, name, length) : nullptr; }
  std::int32_t* i32(Block& block, const char* name, i64 length) { return need<std::int32_t>(block, name, Storage::i32, length); }
  /// (·, columns), `length` numbers at least.
  Weight weight(Block& block, const char* name, i64 length, i64 columns) {
    if (const Blocks blocks = blocks_of(block.storage); blocks != Blocks::none) {
      const i64 numbers = block_of(block.storage);
      if (columns % numbers != 0) fail(std::string(name) + ": " + storage_names[static_cast<int>(block.storage)] + " rows are a multiple of " + std::to_string(numbers) + " long, got " + std::to_string(columns));
      return {need<std::uint8_t>(block, name, block.storage, length), false, blocks, block.length};
    }
    if (block.storage == Storage::bf16) return {need<std::uint16_t>(block, name, Storage::bf16, length), true};
    return {f32(block, name, length), false};
  }
  /// Null unless the block is q8_0: rows of `columns` numbers, `rows` of them at least.
  std::uint8_t* q8_0(Block& block, const char* name, i64 rows, i64 columns) {
    if (block.storage != Storage::q8_0) return nullptr;
    if (columns % q8_0_block != 0) fail(std::string(name) + ": q8_0 rows are a multiple of 32 long, got " + std::to_string(columns));
    return need<std::uint8_t>(block, name, Storage::q8_0, rows * columns);
  }
  /// Q8_0 lies in an order of the kernels' own: `quantize` writes it, and nobody copies it.
  void plain(const Block& x) {
    if (x.storage == Storage::q8_0) fail("x: a q8_0 tensor is written by quantize and read by linear and gatherRows");
    if (blocks_of(x.storage) != Blocks::none) fail(std::string("x: a tensor of ") + storage_names[static_cast<int>(x.storage)] + " is written whole, as bytes, and read by products and gatherRows");
  }
  /// i32 of n values in [0, limit).
  const std::int32_t* indices(Block& block, const char* name, i64 n, i64 limit) {
    const std::int32_t* values = i32(block, name, n);
    for (i64 i = 0; i < n; i++)
      if (values[i] < 0 || values[i] >= limit)
        fail(std::string(name) + "[" + std::to_string(i) + "]: expected 0 … " + std::to_string(limit - 1) + ", got " + std::to_string(values[i]));
    return values;
  }

  static std::string describe(const Napi::Value& value) {
    if (value.IsUndefined()) return "undefined";
    if (value.IsNull()) return "null";
    return value.IsObject() ? "an object" : value.ToString().Utf8Value();
  }

 private:
  template <class T>
  T* external(std::uint64_t tag, const char* name, const char* expected) {
    const Napi::Value value = info_[next_++];
    T* data = untagged<T>(info_.Env(), value, tag);
    if (!data) fail(std::string(name) + ": expected " + expected + ", got " + describe(value));
    return data;
  }

  const Napi::CallbackInfo& info_;
  const char* kernel_;
  std::shared_ptr<Device> device_;
  std::size_t next_ = 0;
};

}  // namespace attune
