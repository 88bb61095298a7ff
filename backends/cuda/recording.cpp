#include "cuda/recording.h"

namespace kl::cuda {
namespace {

constexpr uint32_t kMaxGridY = 65535, kMaxThreads = 1024;

struct GraphHolder {
  const Driver& driver;
  Graph graph = nullptr;
  ~GraphHolder() {
    if (graph != nullptr) (void)driver.graph_destroy(graph);
  }
};

}  // namespace

CudaRecording::~CudaRecording() {
  if (context_->abandoned()) return;
  const Context::Use use(*context_);
  for (const auto& [range, exec] : graphs_) (void)context_->driver().graph_exec_destroy(exec);
}

Status CudaRecording::add_early_edge(Graph graph, GraphNode before, GraphNode after) {
  constexpr GraphEdge kEarly = {kPortProgrammatic, 0, kEdgeProgrammatic, {}};
  const auto add = [&](const GraphEdge* edge) { return context_->driver().graph_add_dependencies(graph, &before, &after, edge, 1); };
  int code = add(&kEarly);
  if (code == kCudaInvalidValue || code == kCudaNotSupported) {
    programmatic_ = false;
    code = add(nullptr);
  }
  return context_->check(code, "cuGraphAddDependencies");
}

// Items between two barriers are nodes that wait for all those between the barriers before: the planner's order, and no more than that. Where one waits for one, and
// nothing stands beside either, the edge is a programmatic one if these are wanted: the second begins early and waits itself (common/kernel.cuh).
Result<GraphExec> CudaRecording::graph(uint32_t first, uint32_t last) {
  GraphExec& exec = graphs_[{first, last}];
  if (exec != nullptr) return exec;
  const size_t first_item = first == 0 ? 0 : segment_ends_[first - 1], last_item = segment_ends_[last - 1];
  const Driver& driver = context_->driver();
  GraphHolder holder{driver};
  KL_TRY(context_->check(driver.graph_create(&holder.graph, 0), "cuGraphCreate"));
  std::vector<GraphNode> before, now;
  for (size_t i = first_item; i < last_item; ++i) {
    const Item& item = items_[i];
    if (item.barrier && !now.empty()) {
      before = std::move(now);
      now.clear();
    }
    const bool alone = now.empty() && (i + 1 == last_item || items_[i + 1].barrier);
    const bool early = programmatic_ && alone && before.size() == 1;
    void* argument = const_cast<std::byte*>(item.launch.args.data());  // the driver copies it
    KernelNodeParams params{};
    params.function = item.function;
    params.grid_x = item.launch.grid[0];
    params.grid_y = item.launch.grid[1];
    params.grid_z = item.launch.grid[2];
    params.block_x = item.launch.block;
    params.block_y = params.block_z = 1;
    params.shared_bytes = item.launch.shared_bytes;
    params.params = &argument;
    GraphNode node = nullptr;
    KL_TRY(context_->check(driver.graph_add_kernel(&node, holder.graph, before.data(), early ? 0 : before.size(), &params),
                           "cuGraphAddKernelNode"));
    if (early) KL_TRY(add_early_edge(holder.graph, before.front(), node));
    now.push_back(node);
  }
  KL_TRY(context_->check(driver.graph_instantiate(&exec, holder.graph, 0), "cuGraphInstantiate"));
  return exec;
}

Status CudaRecording::launch(uint32_t first, uint32_t last) {
  KL_TRY(step_->refresh());
  KL_ASSIGN(const GraphExec exec, graph(first, last));
  return context_->check(context_->driver().graph_launch(exec, context_->stream()), "cuGraphLaunch");
}

class Recorder {
 public:
  Recorder(const RecordRequest& request, CudaRecording& recording) : r_(request), recording_(recording) {}

  Status run() {
    for (const Segment& segment : r_.plan.segments) {
      for (uint32_t at = segment.first; at < segment.last; ++at) KL_TRY(bind(r_.plan.ops[at]));
      recording_.segment_ends_.push_back(recording_.items_.size());
    }
    return {};
  }

 private:
  Status bind(const PlannedOp& planned) {
    const BindContext context{r_.plan, planned, r_.bindings, r_.context->gpu(), r_.ropes, r_.copier, r_.context, recording_.memory_};
    std::vector<Launch> launches;
    KL_TRY(kernels()[planned.support.row].bind(planned.op, context, launches));
    uint32_t stage = ~0u;
    for (Launch& l : launches) {
      if (l.stage >= planned.support.stages.size() || l.block == 0 || l.block > kMaxThreads || l.grid[0] == 0 || l.grid[1] == 0 ||
          l.grid[1] > kMaxGridY || l.grid[2] == 0 || l.grid[2] > kMaxGridY || l.shared_bytes > r_.context->gpu().max_shared)
        return error(Code::internal, "kernel %s planned another launch of %s", planned.support.kernel.c_str(), l.kernel.c_str());
      const bool starts = l.stage != stage;
      stage = l.stage;
      CudaRecording::Item item;
      item.barrier = starts && (stage == 0 ? planned.barrier : planned.support.stages[stage].barrier);
      const Context::Use use(*r_.context);
      KL_ASSIGN(item.function, r_.modules.get(l.kernel, l.shared_bytes));
      item.launch = std::move(l);
      recording_.items_.push_back(std::move(item));
    }
    if (stage + 1 != planned.support.stages.size())
      return error(Code::internal, "kernel %s planned %zu stages and recorded %u", planned.support.kernel.c_str(),
                   planned.support.stages.size(), stage + 1);
    return {};
  }

  const RecordRequest& r_;
  CudaRecording& recording_;
};

Result<std::unique_ptr<Recording>> record_plan(const RecordRequest& request) {
  auto recording = std::make_unique<CudaRecording>(request.context, static_cast<const DeviceMemory*>(request.bindings.step_params));
  KL_TRY(Recorder(request, *recording).run());
  return std::unique_ptr<Recording>(std::move(recording));
}

}  // namespace kl::cuda
