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

/// Memory that so many tasks of a call read, task after task.
struct Stream {
  const void* data = nullptr;
  i64 tasks = 0, task_bytes = 0;
};

/// `threads` counts the caller, which works too. Idle workers spin a few tens of microseconds, then sleep.
/// Every thread has its own run of neighbouring tasks, the same at every call of as many tasks, and takes from others when it has none left: what a
/// task reads ahead of itself serves the next one, and what a thread wrote is still in its own cache in the next call.
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  int threads() const { return threads_; }
  /// The first task of a thread's own run.
  i64 first_of(int worker, i64 tasks) const { return tasks * worker / threads_; }
  /// What the other threads bring into their caches while they wait, from each one's first task on: what a later call will most likely read,
  /// its tasks stream after stream. Say so before the call that they wait after.
  void foresee(const Stream* streams, int count);
  /// Runs task(argument, t, worker) for t in [0, tasks), worker in [0, threads); returns when all are done.
  void run(i64 tasks, void (*task)(void*, i64, int), void* argument);

 private:
  void work(int worker);
  void take(int worker);

  const int threads_;
  const bool spin_;
  // state_ = generation << 16 | open << 15 | workers inside. A worker enters only an open job, so a sleeper never delays one.
  std::atomic<std::uint64_t> state_{0};
  struct alignas(64) Run {
    std::atomic<i64> next{0};
    i64 end = 0;
    // See foresee. Read while it changes, it names memory that is fetched in vain.
    struct Piece {
      std::atomic<const char*> begin{nullptr}, end{nullptr};
    } ahead[most_linears];
    std::atomic<unsigned> forecasts{0};
  };
  std::vector<Run> runs_;
  void (*task_)(void*, i64, int) = nullptr;
  void* argument_ = nullptr;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

/// Decoding reads the same weights in the same order at every step, and between two of them memory is idle: what was read behind a weight
/// last time is foreseen when that weight comes again.
class Order {
 public:
  struct Streams {
    Stream all[most_linears];
    int count = 0;
  };
  /// Notes that these are being read; what came after them last time.
  const Streams& after(const Stream* now, int count);

 private:
  struct Entry {
    const void* data = nullptr;
    Streams next;
  };
  std::vector<Entry> entries_;
  Entry* last_ = nullptr;
};

enum class Slot { pack_a, pack_b, logits, rows, tasks, workers, count };

struct Context {
  Context(int threads, Memory* memory) : pool(threads), memory(memory) {}
  ~Context();
  Context(const Context&) = delete;

  /// At least `floats` floats, 64-byte aligned, contents undefined; valid until the next call for the same slot.
  float* scratch(Slot slot, i64 floats);

  /// Before weights are read once, in order.
  void reading(const Stream* streams, int count);

  Pool pool;
  Memory* memory;

 private:
  struct Block {
    void* data = nullptr;
    std::size_t bytes = 0;
  } slots_[static_cast<int>(Slot::count)];
  Order order_;
};

}  // namespace attune
