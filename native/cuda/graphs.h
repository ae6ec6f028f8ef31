// Sequences of launches that come again (a decode step's, most of all) as CUDA graphs: one call of the driver in place of one a launch. What is told apart
// are kernels, grids and block memory; arguments are set where they differ from the last time. The first sight of a sequence is launched plainly.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "driver_library.h"

namespace attune::cuda {

struct Kernel {
  std::string name;
  CUfunction function;
  unsigned block_bytes;  // the most it may be launched with
};

struct Launch {
  const Kernel* kernel;
  unsigned gx, gy, gz, threads, block_bytes;
  unsigned first, count;  // of its arguments, eight bytes each, among its sequence's
};

class Graphs {
 public:
  Graphs(const Driver& driver, CUstream stream) : driver_(driver), stream_(stream) {}
  /// Queues the launches, one after the other.
  void run(const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments);

 private:
  struct Graph {
    std::uint64_t used = 0;
    bool refused = false;  // there was no memory for it
    CUgraph graph = nullptr;
    CUgraphExec ready = nullptr;
    std::vector<CUgraphNode> nodes;
    std::vector<std::uint64_t> arguments;  // as they are set
  };
  void run_plainly(const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const;
  bool build(Graph& graph, const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const;
  void update(Graph& graph, const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const;
  void destroy(Graph& graph) const;
  void make_room();

  const Driver& driver_;
  CUstream stream_;
  std::unordered_map<std::string, Graph> known_;
  std::uint64_t clock_ = 0;
};

}  // namespace attune::cuda
