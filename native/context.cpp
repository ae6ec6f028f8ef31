// See context.h.
#include "context.h"

#include <algorithm>
#include <chrono>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attune {

namespace {

constexpr std::uint64_t open_bit = 1u << 15;
constexpr std::uint64_t inside_mask = open_bit - 1;
constexpr int generation_shift = 16;
constexpr auto spin_time = std::chrono::microseconds(40);
constexpr i64 most_ahead = 384 * 1024;  // bytes a waiting thread brings into its L2 of 1 MiB

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Pool::Pool(int threads)
    : threads_(threads), spin_(threads <= static_cast<int>(std::thread::hardware_concurrency())), runs_(static_cast<std::size_t>(threads)) {
  for (int worker = 1; worker < threads; worker++) workers_.emplace_back([this, worker] { work(worker); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void Pool::take(int worker) {
  for (int i = 0; i < threads_; i++) {
    Run& run = runs_[static_cast<std::size_t>((worker + i) % threads_)];
    if (run.next.load(std::memory_order_relaxed) >= run.end) continue;  // others keep their line
    for (i64 t; (t = run.next.fetch_add(1, std::memory_order_relaxed)) < run.end;) task_(argument_, t, worker);
  }
}

void Pool::foresee(const Stream* streams, int count) {
  i64 tasks = 0;
  for (int i = 0; i < count; i++) tasks += streams[i].tasks;
  for (int worker = 1; worker < threads_; worker++) {
    Run& run = runs_[static_cast<std::size_t>(worker)];
    i64 begin = first_of(worker, tasks), end = first_of(worker + 1, tasks), room = most_ahead;
    for (int i = 0; i < most_linears; i++) {
      const Stream stream = i < count ? streams[i] : Stream{};
      const auto within = [&](i64 task) { return (task < 0 ? 0 : task < stream.tasks ? task : stream.tasks) * stream.task_bytes; };
      const i64 from = within(begin), wanted = within(end) - from, bytes = wanted < room ? wanted : room;
      const char* data = static_cast<const char*>(stream.data) + from;
      run.ahead[i].begin.store(data, std::memory_order_relaxed);
      run.ahead[i].end.store(data + bytes, std::memory_order_relaxed);
      room -= bytes;
      begin -= stream.tasks;
      end -= stream.tasks;
    }
    run.forecasts.fetch_add(1, std::memory_order_release);
  }
}

void Pool::run(i64 tasks, void (*task)(void*, i64, int), void* argument) {
  if (threads_ == 1 || tasks <= 1) {
    for (i64 t = 0; t < tasks; t++) task(argument, t, 0);
    return;
  }
  for (int worker = 0; worker < threads_; worker++) {
    Run& run = runs_[static_cast<std::size_t>(worker)];
    run.next.store(first_of(worker, tasks), std::memory_order_relaxed);
    run.end = first_of(worker + 1, tasks);
  }
  task_ = task;
  argument_ = argument;
  const std::uint64_t generation = (state_.load(std::memory_order_relaxed) >> generation_shift) + 1;
  state_.store(generation << generation_shift | open_bit);
  if (sleepers_.load() > 0) {
    std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  take(0);
  state_.fetch_and(~open_bit);
  for (int turns = 0; (state_.load(std::memory_order_acquire) & inside_mask) != 0; turns++) {
    if (turns < 2000)
      pause();
    else
      std::this_thread::yield();  // a worker has lost its core: let it have ours
  }
}

void Pool::work(int worker) {
  const Run& mine = runs_[static_cast<std::size_t>(worker)];
  unsigned forecast = 0;
  int piece = most_linears;
  const char *at = nullptr, *end = nullptr;
  std::uint64_t seen = 0;
  const auto waiting = [&] { return (state_.load() >> generation_shift) == seen && !stop_.load(); };
  while (!stop_.load()) {
    if (spin_) {
      if (const unsigned latest = mine.forecasts.load(std::memory_order_acquire); latest != forecast) forecast = latest, piece = 0, at = end = nullptr;
      const auto until = std::chrono::steady_clock::now() + spin_time;
      for (int turns = 1; waiting(); turns++) {
        if (at < end) {
          for (int line = 0; line < 4; line++, at += 64) __builtin_prefetch(at, 0, 2);
        } else if (piece < most_linears) {
          at = mine.ahead[piece].begin.load(std::memory_order_relaxed);
          end = mine.ahead[piece++].end.load(std::memory_order_relaxed);
        } else {
          pause();
        }
        if (turns % 32 == 0 && std::chrono::steady_clock::now() > until) break;
      }
    }
    if (waiting()) {
      std::unique_lock lock(mutex_);
      sleepers_.fetch_add(1);
      wake_.wait(lock, [&] { return !waiting(); });
      sleepers_.fetch_sub(1);
    }
    std::uint64_t state = state_.load();
    bool entered = false;
    while ((state & open_bit) && (state >> generation_shift) != seen) {
      if (state_.compare_exchange_weak(state, state + 1)) {
        entered = true;
        break;
      }
    }
    seen = state >> generation_shift;
    if (entered) {
      take(worker);
      state_.fetch_sub(1, std::memory_order_release);
    }
  }
}

const Order::Streams& Order::after(const Stream* now, int count) {
  constexpr std::size_t places = 2048;  // two weights that share one only lose their forecast
  if (entries_.empty()) entries_.resize(places);
  const auto key = reinterpret_cast<std::uintptr_t>(now[0].data) / 64 * 0x9e3779b97f4a7c15ull;
  Entry& entry = entries_[static_cast<std::size_t>(key >> 53)];
  if (last_) {
    std::copy_n(now, count, last_->next.all);
    last_->next.count = count;
  }
  last_ = &entry;
  if (entry.data != now[0].data) entry = {now[0].data, {}};
  return entry.next;
}

void Context::reading(const Stream* streams, int count) {
  if (pool.threads() == 1) return;
  const Order::Streams& next = order_.after(streams, count);
  if (next.count > 0) pool.foresee(next.all, next.count);
}

Context::~Context() {
  for (auto& block : slots_)
    if (block.data) memory->free(block.data, block.bytes);
}

float* Context::scratch(Slot slot, i64 floats) {
  Block& block = slots_[static_cast<int>(slot)];
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (bytes > block.bytes) {
    if (block.data) memory->free(block.data, block.bytes);
    block = {};
    void* data = memory->alloc(bytes);
    if (!data) throw std::bad_alloc();
    block = {data, bytes};
  }
  return static_cast<float*>(block.data);
}

}  // namespace attune
