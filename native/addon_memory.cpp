// The border's other half: a device opened, tensors made, mapped from files, viewed, freed, written and read. Kernels are addon.cpp.
#include "addon_memory.h"

#include <cstring>

#include "arguments.h"

namespace attune {
namespace {

const Kernels* kernels = nullptr;

Napi::Value open(const Napi::CallbackInfo& info) {
  const int threads = info[0].As<Napi::Number>().Int32Value();
  return tagged_external(info.Env(), std::make_shared<Device>(threads, *kernels), device_tag);
}

Napi::Value alloc(const Napi::CallbackInfo& info) {
  Arguments a(info, "alloc", Waiting::leave);
  const i64 length = a.integer("length");
  const auto storage = static_cast<Storage>(a.integer("storage"));
  if (const i64 block = block_of(storage); length % block != 0)
    a.fail(std::string("length: ") + storage_names[static_cast<int>(storage)] + " comes in blocks of " + std::to_string(block) + ", got " + std::to_string(length));
  const std::size_t bytes = bytes_of(storage, length);
  void* data = bytes < 9'000'000'000'000'000 ? a.device().memory.alloc(bytes) : nullptr;
  if (!data)
    a.fail("out of memory: asked for " + human(bytes) + " while " + human(a.device().memory.bytes()) +
           " are in use; use a smaller batch, a shorter maxLength or gradient checkpointing");
  auto home = std::make_shared<Allocation>(a.shared(), data, bytes, nullptr);
  return tagged_external(info.Env(), Block{std::move(home), data, storage, length, false}, tensor_tag);
}

/// map(fd): the file in memory, or null where it cannot be.
Napi::Value map(const Napi::CallbackInfo& info) {
  auto mapping = Mapping::of(info[0].As<Napi::Number>().Int32Value());
  if (!mapping) return info.Env().Null();
  return tagged_external(info.Env(), std::move(mapping), mapping_tag);
}

/// A frozen tensor over bytes of a mapped file: no copy, and the file stays mapped while it lives.
Napi::Value adopt(const Napi::CallbackInfo& info) {
  Arguments a(info, "adopt");
  std::shared_ptr<Mapping>& mapping = a.mapping();
  const i64 begin = a.integer("begin"), length = a.integer("length"), kind = a.integer("storage");
  if (kind != static_cast<i64>(Storage::f32) && kind != static_cast<i64>(Storage::bf16)) a.fail("storage: a file is read as f32 or bf16");
  const auto storage = static_cast<Storage>(kind);
  const std::size_t bytes = bytes_of(storage, length), at = static_cast<std::size_t>(begin);
  if (at % storage_bytes[kind] != 0) a.fail("begin: expected a multiple of " + std::to_string(storage_bytes[kind]) + ", got " + std::to_string(begin));
  if (!mapping) a.fail("mapping: the file was let go");
  if (at > mapping->bytes() || bytes > mapping->bytes() - at || !mapping->whole())
    a.fail("length: the file became shorter after it was opened; leave it alone and try again");
  void* data = const_cast<char*>(mapping->data()) + at;
  auto home = std::make_shared<Allocation>(a.shared(), data, bytes, mapping);
  return tagged_external(info.Env(), Block{std::move(home), data, storage, length, false, true}, tensor_tag);
}

/// The file is let go as soon as no tensor lies in it.
void unmap(const Napi::CallbackInfo& info) {
  auto* mapping = untagged<std::shared_ptr<Mapping>>(info.Env(), info[0], mapping_tag);
  if (!mapping) throw Napi::Error::New(info.Env(), "unmap: mapping: expected a mapped file, got " + Arguments::describe(info[0]));
  mapping->reset();
}

Napi::Value view(const Napi::CallbackInfo& info) {
  Arguments a(info, "view", Waiting::leave);
  Block& x = a.tensor("x");
  const i64 offset = a.integer("offset"), length = a.integer("length"), storage = a.integer("storage");
  if (offset % 64 != 0) a.fail("offset: expected a multiple of 64, got " + std::to_string(offset));
  if (storage != static_cast<i64>(Storage::f32) && storage != static_cast<i64>(Storage::i32)) a.fail("storage: a view is of f32 or i32");
  void* data = x.storage == Storage::i32 && storage == static_cast<i64>(Storage::i32)
                   ? static_cast<void*>(a.i32(x, "x", offset + length) + offset)
                   : static_cast<void*>(a.f32(x, "x", offset + length) + offset);
  return tagged_external(info.Env(), Block{x.home, data, static_cast<Storage>(storage), length, true}, tensor_tag);
}

void free(const Napi::CallbackInfo& info) {
  Arguments a(info, "free");
  Block& x = a.tensor("x");
  if (x.view) a.fail("x: expected a tensor that alloc gave, got a view");
  x.home->release();
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Arguments a(info, "memory");
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("bytes", static_cast<double>(a.device().memory.bytes()));
  out.Set("peakBytes", static_cast<double>(a.device().memory.peak_bytes()));
  return out;
}

void write(const Napi::CallbackInfo& info) {
  Arguments a(info, "write");
  Block& x = a.tensor("x");
  const Napi::Value value = a.any();
  const i64 offset = a.integer("offset");
  const auto [type, n, from] = a.array(value);
  if (blocks_of(x.storage) != Blocks::none && type == napi_uint8_array) {
    const auto bytes = static_cast<i64>(bytes_of(x.storage, x.length));
    if (offset != 0 || n != bytes) a.fail("data: a tensor of " + std::to_string(x.length) + " in " + storage_names[static_cast<int>(x.storage)] + " takes its " + std::to_string(bytes) + " bytes at once, got " + std::to_string(n));
    std::memcpy(x.data, from, static_cast<std::size_t>(n));
    return;
  }
  a.plain(x);
  if (x.frozen) a.fail("x: this tensor lies in a model's file and is never written");
  if (offset + n > x.length)
    a.fail("data: " + std::to_string(n) + " elements at offset " + std::to_string(offset) + " do not fit a tensor of " + std::to_string(x.length));
  const std::size_t element = storage_bytes[static_cast<int>(x.storage)];
  char* to = static_cast<char*>(x.data) + static_cast<std::size_t>(offset) * element;
  if (x.storage == Storage::bf16 && type == napi_float32_array)
    return kernels->narrow_bf16(a.context(), reinterpret_cast<std::uint16_t*>(to), static_cast<const float*>(from), n);
  const napi_typedarray_type expected[] = {napi_float32_array, napi_uint16_array, napi_int32_array};
  constexpr const char* names[] = {"Float32Array", "Uint16Array or Float32Array", "Int32Array"};
  if (type != expected[static_cast<int>(x.storage)])
    a.fail(std::string("data: a tensor of ") + storage_names[static_cast<int>(x.storage)] + " takes a " + names[static_cast<int>(x.storage)]);
  if (n > 0) std::memcpy(to, from, static_cast<std::size_t>(n) * element);
}

/// Into a typed array the caller made.
void read(const Napi::CallbackInfo& info) {
  Arguments a(info, "read");
  Block& x = a.tensor("x");
  const auto [type, n, to] = a.array(a.any());
  const i64 offset = a.integer("offset");
  a.plain(x);
  if (offset + n > x.length)
    a.fail(std::to_string(n) + " elements at offset " + std::to_string(offset) + " reach past a tensor of " + std::to_string(x.length));
  const std::size_t element = storage_bytes[static_cast<int>(x.storage)];
  if (n > 0) std::memcpy(to, static_cast<char*>(x.data) + static_cast<std::size_t>(offset) * element, static_cast<std::size_t>(n) * element);
}

}  // namespace

void export_memory(Napi::Env env, Napi::Object exports, const Kernels& chosen) {
  kernels = &chosen;
  exports.Set("open", Napi::Function::New(env, open));
  exports.Set("alloc", Napi::Function::New(env, alloc));
  exports.Set("map", Napi::Function::New(env, map));
  exports.Set("adopt", Napi::Function::New(env, adopt));
  exports.Set("unmap", Napi::Function::New(env, unmap));
  exports.Set("view", Napi::Function::New(env, view));
  exports.Set("free", Napi::Function::New(env, free));
  exports.Set("memory", Napi::Function::New(env, memory));
  exports.Set("write", Napi::Function::New(env, write));
  exports.Set("read", Napi::Function::New(env, read));
}

}  // namespace attune
