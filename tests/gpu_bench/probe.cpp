#include "gpu_bench/probe.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "cuda/kernels/probe.h"
#include "cuda/memory.h"
#include "cuda/modules.h"

namespace kl::gpu_bench {
namespace {

using cuda::ProbeArgs;

// A card with the probes loaded.
struct Bench {
  std::shared_ptr<cuda::Context> context;
  cuda::Modules modules;

  explicit Bench(std::shared_ptr<cuda::Context> opened) : context(std::move(opened)), modules(context) {}

  const cuda::Driver& driver() const { return context->driver(); }

  // `nodes` launches of a kernel, each behind the one before or all at once. The caller destroys it.
  Result<cuda::GraphExec> graph(const char* kernel, const ProbeArgs& args, uint32_t blocks, uint32_t nodes, bool chained) {
    KL_ASSIGN(const cuda::Function function, modules.get(kernel, 0));
    cuda::Graph graph = nullptr;
    KL_TRY(context->check(driver().graph_create(&graph, 0), "cuGraphCreate"));
    ProbeArgs copy = args;
    void* argument = &copy;
    cuda::KernelNodeParams params{};
    params.function = function;
    params.grid_x = blocks;
    params.grid_y = params.grid_z = 1;
    params.block_x = cuda::kProbeThreads;
    params.block_y = params.block_z = 1;
    params.params = &argument;
    cuda::GraphNode before = nullptr;
    int code = cuda::kCudaSuccess;
    for (uint32_t i = 0; i < nodes && code == cuda::kCudaSuccess; ++i) {
      cuda::GraphNode node = nullptr;
      code = driver().graph_add_kernel(&node, graph, &before, chained && i > 0 ? 1 : 0, &params);
      before = node;
    }
    cuda::GraphExec exec = nullptr;
    if (code == cuda::kCudaSuccess) code = driver().graph_instantiate(&exec, graph, 0);
    (void)driver().graph_destroy(graph);
    KL_TRY(context->check(code, "a graph of probes"));
    return exec;
  }

  // The best of `repeats` after one for warmth.
  Result<double> seconds(const char* kernel, const ProbeArgs& args, uint32_t blocks, uint32_t nodes, bool chained, uint32_t repeats) {
    const cuda::Context::Use use(*context);
    KL_ASSIGN(const cuda::GraphExec exec, graph(kernel, args, blocks, nodes, chained));
    double best = std::numeric_limits<double>::infinity();
    Status status;
    for (uint32_t i = 0; i <= repeats && status.ok(); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      status = context->check(driver().graph_launch(exec, context->stream()), "cuGraphLaunch");
      if (status.ok()) status = context->finish();
      const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (i > 0) best = std::min(best, took);
    }
    (void)driver().graph_exec_destroy(exec);
    KL_TRY(status);
    return best;
  }
};

}  // namespace

Result<CardCosts> probe_card(const cuda::Driver& driver, uint32_t device, const ProbeSizes& sizes) {
  KL_ASSIGN(std::shared_ptr<cuda::Context> context, cuda::Context::open(driver, device));
  KL_ASSIGN(cuda::Copier copier, cuda::Copier::create(context));
  Bench bench(context);
  const auto blocks = static_cast<uint32_t>(context->gpu().multiprocessors) * 4;
  KL_ASSIGN(const auto from, cuda::DeviceMemory::allocate(context, sizes.read_bytes, cuda::Access::device));
  KL_ASSIGN(const auto out, cuda::DeviceMemory::allocate(context, uint64_t{blocks} * 4, cuda::Access::device));
  // A start of known words, doubled on the device.
  std::vector<uint32_t> words(std::min<uint64_t>(sizes.read_bytes, uint64_t{1} << 20) / 4);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i) * 2654435761u;
  KL_TRY(copier.copy({.to = from.get(), .from_host = reinterpret_cast<const std::byte*>(words.data()), .bytes = words.size() * 4}));
  for (uint64_t have = words.size() * 4; have < sizes.read_bytes;) {
    const uint64_t more = std::min(have, sizes.read_bytes - have);
    KL_TRY(copier.copy({.to = from.get(), .to_offset = have, .from = from.get(), .bytes = more}));
    have += more;
  }
  CardCosts c;
  const ProbeArgs read{reinterpret_cast<const void*>(from->address()), reinterpret_cast<uint32_t*>(out->address()), sizes.read_bytes / 16};
  KL_ASSIGN(const double read_seconds, bench.seconds("probe__read", read, blocks, 1, false, sizes.repeats));
  std::vector<uint32_t> found(blocks);
  KL_TRY(copier.copy({.from = out.get(), .bytes = uint64_t{blocks} * 4, .to_host = reinterpret_cast<std::byte*>(found.data())}));
  for (const uint32_t word : found) c.read_check ^= word;
  uint32_t wanted = 0;
  for (uint64_t at = 0; at < sizes.read_bytes / 4; ++at) wanted ^= words[at % words.size()];
  if (c.read_check != wanted) return error(Code::internal, "the read probe saw %08x where %08x was written", c.read_check, wanted);
  KL_ASSIGN(c.graph_seconds, bench.seconds("probe__empty", {}, 1, 1, false, sizes.repeats));
  KL_ASSIGN(const double free, bench.seconds("probe__empty", {}, 1, sizes.nodes, false, sizes.repeats));
  KL_ASSIGN(const double chained, bench.seconds("probe__empty", {}, 1, sizes.nodes, true, sizes.repeats));
  c.read_bytes_per_second = static_cast<double>(sizes.read_bytes) / std::max(read_seconds - c.graph_seconds, read_seconds * 0.5);
  c.launch_seconds = std::max(0.0, free - c.graph_seconds) / std::max(1u, sizes.nodes - 1);
  c.dependent_seconds = std::max(0.0, chained - c.graph_seconds) / std::max(1u, sizes.nodes - 1);
  return c;
}

}  // namespace kl::gpu_bench
