// What is to run, gathered: launches wait here until there is a piece of them, or somebody reads, and go to the driver together (graphs.h). Small writes and
// copies are moves: neighbours become one launch, whose table travels, with what was written, in one transfer before the piece. So a decode step, whose keys
// and values go one row further each time, differs from the last one in nothing but that transfer.
#pragma once
#include <cstdint>
#include <vector>

#include "graphs.h"

namespace attune::cuda {

class Queue {
 public:
  /// piece: launches that are gathered; 1 gathers nothing. mover: vectors.cu's move_all.
  Queue(const Driver& driver, CUcontext context, CUstream stream, unsigned piece, const Kernel& mover);

  void launch(const Kernel& kernel, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned block_bytes, const void* arguments, unsigned count);
  /// bytes: a multiple of 4, as both addresses.
  void copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes);
  /// Copies what it is given before it returns. False, and nothing is done: it is too large, or no multiple of 4.
  bool write(CUdeviceptr to, const void* from, std::size_t bytes);
  /// To the driver with all that waits: before anything that is ordered with it, or frees memory it may use.
  void submit();
  /// Everything that was submitted has run.
  void waited();

 private:
  struct Move {
    std::uint64_t to, from, words;
  };
  void make_way(const Move& move);
  void add(const Move& move);
  bool meets(const Move& move) const;
  void close_moves();
  char* room(std::size_t bytes, std::size_t more);

  const Driver& driver_;
  CUcontext context_;
  CUstream stream_;
  unsigned piece_;
  const Kernel& mover_;
  Graphs graphs_;
  std::vector<Launch> launches_;
  std::vector<std::uint64_t> arguments_;
  std::vector<Move> moves_;

  // what a piece brings with it: filled in one of several slots of pinned memory, sent into one place on the GPU
  static constexpr int slots = 8;
  static constexpr std::size_t slot_bytes = 256u << 10, most_moves = 128, table_bytes = most_moves * sizeof(Move);
  char* pinned_ = nullptr;
  CUdeviceptr inbox_ = 0;
  std::size_t filled_ = 0;
  int slot_ = 0;
  CUevent sent_[slots] = {};
  bool on_its_way_[slots] = {};
};

}  // namespace attune::cuda
