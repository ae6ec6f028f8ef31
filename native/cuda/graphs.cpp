// See graphs.h.
#include "graphs.h"

#include <algorithm>
#include <cstring>

namespace attune::cuda {

namespace {

/// Sequences that are remembered, those used last: a graph takes some kilobytes of the GPU's memory a node.
constexpr std::size_t most = 128;
/// A sequence of fewer launches is not worth a graph.
constexpr std::size_t fewest = 4;
constexpr unsigned most_arguments = 32;

/// Where each argument of a launch lies, as the driver wants them.
struct Addresses {
  void* at[most_arguments];
  Addresses(const Launch& launch, const std::vector<std::uint64_t>& arguments) {
    for (unsigned i = 0; i < launch.count; i++) at[i] = const_cast<std::uint64_t*>(&arguments[launch.first + i]);
  }
};

CUDA_KERNEL_NODE_PARAMS node_of(const Launch& launch, Addresses& addresses) {
  CUDA_KERNEL_NODE_PARAMS node{};
  node.func = launch.kernel->function;
  node.gridDimX = launch.gx, node.gridDimY = launch.gy, node.gridDimZ = launch.gz;
  node.blockDimX = launch.threads, node.blockDimY = 1, node.blockDimZ = 1;
  node.sharedMemBytes = launch.block_bytes;
  node.kernelParams = addresses.at;
  return node;
}

/// All of a sequence but its arguments.
std::string signature_of(const std::vector<Launch>& launches) {
  std::string signature;
  signature.reserve(launches.size() * 32);
  for (const Launch& l : launches) {
    const std::uint64_t kernel = reinterpret_cast<std::uintptr_t>(l.kernel);
    const unsigned shape[] = {static_cast<unsigned>(kernel), static_cast<unsigned>(kernel >> 32), l.gx, l.gy, l.gz, l.threads, l.block_bytes, l.count};
    signature.append(reinterpret_cast<const char*>(shape), sizeof shape);
  }
  return signature;
}

}  // namespace

void Graphs::run(const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) {
  if (launches.size() < fewest) return run_plainly(launches, arguments);
  std::string signature = signature_of(launches);
  const auto found = known_.find(signature);
  if (found == known_.end()) {
    if (known_.size() >= most) make_room();
    known_[std::move(signature)].used = ++clock_;
    return run_plainly(launches, arguments);
  }
  Graph& graph = found->second;
  graph.used = ++clock_;
  if (graph.ready) update(graph, launches, arguments);
  else if (graph.refused || !build(graph, launches, arguments)) return run_plainly(launches, arguments);
  const CUresult result = driver_.cuGraphLaunch(graph.ready, stream_);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) { // its first launch takes memory too; nothing of it has run
    destroy(graph);
    graph.refused = true;
    return run_plainly(launches, arguments);
  }
  driver_.check(result, "launching a graph of kernels");
}

void Graphs::run_plainly(const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const {
  for (const Launch& launch : launches) {
    Addresses addresses(launch, arguments);
    driver_.check(driver_.cuLaunchKernel(launch.kernel->function, launch.gx, launch.gy, launch.gz, launch.threads, 1, 1, launch.block_bytes, stream_, addresses.at, nullptr),
                  launch.kernel->name.c_str());
  }
}

/// False, and nothing is left of it, where the driver has no memory for it.
bool Graphs::build(Graph& graph, const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const {
  const auto given = [&](CUresult result, const char* what) {
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return graph.refused = true, false;
    return driver_.check(result, what), true;
  };
  if (!given(driver_.cuGraphCreate(&graph.graph, 0), "making a graph")) return false;
  for (const Launch& launch : launches) {
    Addresses addresses(launch, arguments);
    const CUDA_KERNEL_NODE_PARAMS node = node_of(launch, addresses);
    const CUgraphNode* before = graph.nodes.empty() ? nullptr : &graph.nodes.back();
    CUgraphNode added = nullptr;
    if (!given(driver_.cuGraphAddKernelNode_v2(&added, graph.graph, before, before ? 1 : 0, &node), launch.kernel->name.c_str())) return destroy(graph), false;
    graph.nodes.push_back(added);
  }
  if (!given(driver_.cuGraphInstantiateWithFlags(&graph.ready, graph.graph, 0), "making a graph ready")) return destroy(graph), false;
  graph.arguments = arguments;
  return true;
}

/// A launch of the graph that is still running keeps what it was launched with.
void Graphs::update(Graph& graph, const std::vector<Launch>& launches, const std::vector<std::uint64_t>& arguments) const {
  for (std::size_t i = 0; i < launches.size(); i++) {
    const Launch& launch = launches[i];
    const std::size_t first = launch.first;
    if (std::equal(arguments.begin() + first, arguments.begin() + first + launch.count, graph.arguments.begin() + first)) continue;
    Addresses addresses(launch, arguments);
    const CUDA_KERNEL_NODE_PARAMS node = node_of(launch, addresses);
    driver_.check(driver_.cuGraphExecKernelNodeSetParams_v2(graph.ready, graph.nodes[i], &node), launch.kernel->name.c_str());
  }
  graph.arguments = arguments;
}

/// The driver keeps what is running until it has run.
void Graphs::destroy(Graph& graph) const {
  if (graph.ready) driver_.check(driver_.cuGraphExecDestroy(graph.ready), "giving back a graph");
  if (graph.graph) driver_.check(driver_.cuGraphDestroy(graph.graph), "giving back a graph");
  graph.ready = nullptr;
  graph.graph = nullptr;
  graph.nodes.clear();
}

void Graphs::make_room() {
  const auto oldest = std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  destroy(oldest->second);
  known_.erase(oldest);
}

}  // namespace attune::cuda
