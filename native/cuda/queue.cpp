// See queue.h.
#include "queue.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace attune::cuda {

namespace {

/// Of one write: what is larger goes by itself.
constexpr std::size_t most_bytes = 64u << 10;
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

}  // namespace

Queue::Queue(const Driver& driver, CUcontext context, CUstream stream, unsigned piece, const Kernel& mover)
    : driver_(driver), context_(context), stream_(stream), piece_(piece), mover_(mover), graphs_(driver, stream) {
  void* pinned = nullptr;
  driver_.check(driver_.cuMemHostAlloc(&pinned, slots * slot_bytes, 0), "taking pinned memory");
  pinned_ = static_cast<char*>(pinned);
  driver_.check(driver_.cuMemAlloc_v2(&inbox_, slot_bytes), "taking memory");
  for (CUevent& event : sent_) driver_.check(driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "making an event");
}

void Queue::launch(const Kernel& kernel, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned block_bytes, const void* arguments, unsigned count) {
  // the driver would say so of a whole piece, later
  if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || gx > 0x7fffffff || threads == 0 || threads > 1024 || block_bytes > kernel.block_bytes)
    throw std::runtime_error(kernel.name + ": a GPU runs no grid of " + std::to_string(gx) + " x " + std::to_string(gy) + " x " + std::to_string(gz) + " blocks of " +
                             std::to_string(threads) + " threads and " + std::to_string(block_bytes) + " bytes");
  if (count > 32) throw std::runtime_error(kernel.name + ": a kernel takes at most 32 arguments");
  close_moves();
  const unsigned first = static_cast<unsigned>(arguments_.size());
  arguments_.resize(first + count);
  std::memcpy(&arguments_[first], arguments, 8 * count);
  launches_.push_back({&kernel, gx, gy, gz, threads, block_bytes, first, count});
  if (launches_.size() >= piece_) submit();
}

void Queue::copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  if (bytes == 0) return;
  const Move move{to, from, bytes / 4};
  make_way(move);
  add(move);
}

bool Queue::write(CUdeviceptr to, const void* from, std::size_t bytes) {
  if (bytes > most_bytes || to % 4 != 0 || bytes % 4 != 0) return false;
  if (bytes == 0) return true;
  Move move{to, 0, bytes / 4};
  make_way(move);
  char* data = room(bytes, table_bytes);  // with its table, so that both are of one piece
  std::memcpy(data, from, bytes);
  move.from = inbox_ + static_cast<CUdeviceptr>(data - (pinned_ + slot_ * slot_bytes));
  add(move);
  return true;
}

/// Moves of one launch run side by side.
void Queue::make_way(const Move& move) {
  if (moves_.size() == most_moves || meets(move)) close_moves();
}

void Queue::add(const Move& move) {
  moves_.push_back(move);
  if (launches_.size() + 1 >= piece_) submit();
}

/// Does it write what one that waits reads or writes, or read what one writes?
bool Queue::meets(const Move& move) const {
  const auto touch = [](std::uint64_t a, std::uint64_t a_words, std::uint64_t b, std::uint64_t b_words) { return a < b + 4 * b_words && b < a + 4 * a_words; };
  return std::any_of(moves_.begin(), moves_.end(), [&](const Move& other) {
    return touch(move.to, move.words, other.to, other.words) || touch(move.to, move.words, other.from, other.words) || touch(move.from, move.words, other.to, other.words);
  });
}

/// So many bytes of what the gathered piece brings; a new one is begun where there are not so many and `more` left.
char* Queue::room(std::size_t bytes, std::size_t more) {
  if (filled_ + aligned(bytes) + more > slot_bytes) submit();
  if (filled_ == 0 && on_its_way_[slot_]) {
    driver_.check(driver_.cuEventSynchronize(sent_[slot_]), "waiting for a copy");
    on_its_way_[slot_] = false;
  }
  char* at = pinned_ + slot_ * slot_bytes + filled_;
  filled_ += aligned(bytes);
  return at;
}

void Queue::close_moves() {
  if (moves_.empty()) return;
  std::vector<Move> moves;
  moves.swap(moves_);
  const std::size_t bytes = moves.size() * sizeof(Move);
  char* table = room(bytes, 0);
  std::memcpy(table, moves.data(), bytes);
  std::uint64_t words = 0;
  for (const Move& move : moves) words = std::max(words, move.words);
  const std::uint64_t at = inbox_ + static_cast<std::uint64_t>(table - (pinned_ + slot_ * slot_bytes));
  launch(mover_, static_cast<unsigned>(std::min<std::uint64_t>((words + 255) / 256, 65535)), static_cast<unsigned>(moves.size()), 1, 256, 0, &at, 1);
}

void Queue::submit() {
  close_moves();
  if (launches_.empty()) return;
  std::vector<Launch> launches;
  std::vector<std::uint64_t> arguments;
  launches.swap(launches_);  // what fails is not tried again
  arguments.swap(arguments_);
  driver_.check(driver_.cuCtxSetCurrent(context_), "using the GPU");
  if (const std::size_t bytes = std::exchange(filled_, 0); bytes > 0) {
    driver_.check(driver_.cuMemcpyHtoDAsync_v2(inbox_, pinned_ + slot_ * slot_bytes, bytes, stream_), "copying to the GPU");
    driver_.check(driver_.cuEventRecord(sent_[slot_], stream_), "marking a copy");
    on_its_way_[slot_] = true;
    slot_ = (slot_ + 1) % slots;
  }
  graphs_.run(launches, arguments);
}

void Queue::waited() { std::fill(std::begin(on_its_way_), std::end(on_its_way_), false); }

}  // namespace attune::cuda
