// What a device owns besides tensors: a pool of threads, and scratch that grows to the largest need and stays.
// Work is cut over independent outputs only, and what a task computes never depends on who runs it:
// the same bits come out at any thread count.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace attune {

/// `threads` counts the caller, which works too. Idle workers spin a few tens of microseconds, then sleep.
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  int threads() const { return threads_; }
  /// Runs task(argument, t, worker) for t in [0, tasks), worker in [0, threads); returns when all are done.
  void run(i64 tasks, void (*task)(void*, i64, int), void* argument);

 private:
  void work(int worker);
  void take(int worker);

  const int threads_;
  const bool spin_;
  // state_ = generation << 16 | open << 15 | workers inside. A worker enters only an open job, so a sleeper never delays one.
  std::atomic<std::uint64_t> state_{0};
  std::atomic<i64> next_{0};
  i64 tasks_ = 0;
  void (*task_)(void*, i64, int) = nullptr;
  void* argument_ = nullptr;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

enum class Slot { pack_a, pack_b, logits, rows, tasks, workers, count };

struct Context {
  Context(int threads, Memory* memory) : pool(threads), memory(memory) {}
  ~Context();
  Context(const Context&) = delete;

  /// At least `floats` floats, 64-byte aligned, contents undefined; valid until the next call for the same slot.
  float* scratch(Slot slot, i64 floats);

  Pool pool;
  Memory* memory;

 private:
  struct Block {
    void* data = nullptr;
    std::size_t bytes = 0;
  } slots_[static_cast<int>(Slot::count)];
};

}  // namespace attune
