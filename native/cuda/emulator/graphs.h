// Graphs of kernels as the driver documents them: a node keeps copies of its arguments, a graph made ready is a copy of the graph, nodes run once those before
// them have, and setting a ready graph's node changes its later launches, neither those on their way nor the graph. Where the order of nodes is open, the
// last one added runs first.
#pragma once

namespace emulator {
namespace {

/// A launch with copies of its arguments.
struct Node {
  CUDA_KERNEL_NODE_PARAMS launch;
  std::vector<std::vector<unsigned char>> arguments;

  /// False where a GPU would not run it.
  bool set(const CUDA_KERNEL_NODE_PARAMS& given) {
    const Call* kernel = reinterpret_cast<const Call*>(given.func);
    const auto limit = block_limits.find(kernel);
    const unsigned most = limit == block_limits.end() ? 48 * 1024 : static_cast<unsigned>(limit->second);
    const auto& [func, gx, gy, gz, bx, by, bz, block_bytes, parameters, extra, kern, ctx] = given;
    if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx == 0 || bx > most_threads || by != 1 || bz != 1 || block_bytes > most) return false;
    launch = given;
    arguments.clear();
    for (std::size_t i = 0; i < kernel->sizes.size(); i++) {
      const auto* bytes = static_cast<const unsigned char*>(parameters[i]);
      arguments.emplace_back(bytes, bytes + kernel->sizes[i]);
    }
    return true;
  }
  void run() const {
    std::vector<void*> at;
    for (const auto& bytes : arguments) at.push_back(const_cast<unsigned char*>(bytes.data()));
    const auto& l = launch;
    emulator::launch(*reinterpret_cast<const Call*>(l.func), at.data(), {l.gridDimX, l.gridDimY, l.gridDimZ}, {l.blockDimX, l.blockDimY, l.blockDimZ}, l.sharedMemBytes);
  }
};

struct GraphNode {
  Node node;
  std::vector<const GraphNode*> before;
};
struct Graph {
  std::deque<GraphNode> nodes;
};
struct Ready {
  const Graph* from;
  std::vector<const GraphNode*> order;
  std::map<const GraphNode*, Node> nodes;
};
std::set<const void*> alive;  // graphs of both kinds

CUresult create_graph(CUgraph& graph) {
  auto* made = new Graph;
  alive.insert(made);
  return graph = reinterpret_cast<CUgraph>(made), CUDA_SUCCESS;
}

CUresult add_node(CUgraphNode& added, CUgraph handle, const CUgraphNode* before, std::size_t count, const CUDA_KERNEL_NODE_PARAMS& launch) {
  auto* graph = reinterpret_cast<Graph*>(handle);
  if (!alive.count(graph)) return CUDA_ERROR_INVALID_VALUE;
  GraphNode node;
  if (!node.node.set(launch)) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; i++) {
    const auto* other = reinterpret_cast<const GraphNode*>(before[i]);
    if (std::none_of(graph->nodes.begin(), graph->nodes.end(), [&](const GraphNode& own) { return &own == other; })) return CUDA_ERROR_INVALID_VALUE;
    node.before.push_back(other);
  }
  graph->nodes.push_back(std::move(node));
  return added = reinterpret_cast<CUgraphNode>(&graph->nodes.back()), CUDA_SUCCESS;
}

CUresult instantiate(CUgraphExec& handle, CUgraph from) {
  const auto* graph = reinterpret_cast<const Graph*>(from);
  if (!alive.count(graph)) return CUDA_ERROR_INVALID_VALUE;
  auto* ready = new Ready{graph, {}, {}};
  while (ready->order.size() < graph->nodes.size()) {
    const auto next = std::find_if(graph->nodes.rbegin(), graph->nodes.rend(), [&](const GraphNode& node) {
      return !ready->nodes.count(&node) && std::all_of(node.before.begin(), node.before.end(), [&](const GraphNode* other) { return ready->nodes.count(other); });
    });
    ready->order.push_back(&*next);
    ready->nodes[&*next] = next->node;
  }
  alive.insert(ready);
  return handle = reinterpret_cast<CUgraphExec>(ready), CUDA_SUCCESS;
}

CUresult set_node(CUgraphExec handle, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS& launch) {
  auto* ready = reinterpret_cast<Ready*>(handle);
  if (!alive.count(ready) || !alive.count(ready->from)) return CUDA_ERROR_INVALID_VALUE;
  const auto found = ready->nodes.find(reinterpret_cast<const GraphNode*>(node));
  return found != ready->nodes.end() && found->second.set(launch) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult launch_graph(CUgraphExec handle) {
  const auto* ready = reinterpret_cast<const Ready*>(handle);
  if (!alive.count(ready)) return CUDA_ERROR_INVALID_VALUE;
  for (const GraphNode* node : ready->order) later([launch = ready->nodes.at(node)] { launch.run(); });
  return CUDA_SUCCESS;
}

CUresult destroy_ready(CUgraphExec handle) {
  auto* ready = reinterpret_cast<Ready*>(handle);
  if (!alive.erase(ready)) return CUDA_ERROR_INVALID_VALUE;
  return delete ready, CUDA_SUCCESS;
}

CUresult destroy_graph(CUgraph handle) {
  auto* graph = reinterpret_cast<Graph*>(handle);
  if (!alive.erase(graph)) return CUDA_ERROR_INVALID_VALUE;
  return delete graph, CUDA_SUCCESS;
}

}  // namespace
}  // namespace emulator
