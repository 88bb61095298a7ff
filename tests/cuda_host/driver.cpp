#include "cuda_host/driver.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "cuda_host/block.h"
#include "cuda_host/kernels.h"

// What the driver's handles point to.
namespace kl::cuda {

struct CUctx_st {
  int device = 0;
  int error = 0;  // sticky
};
struct CUstream_st {
  CUctx_st* context = nullptr;
  std::list<std::function<int()>> work;
};
struct CUevent_st {
  uint64_t after = 0;  // works that must be done
  bool done = true;
};
struct CUmod_st {
  std::string file;
};
struct CUfunc_st {
  const kl::cuda_host::KernelEntry* entry = nullptr;
  uint32_t shared_bytes = 48u << 10;
};
struct CUgraphNode_st {
  kl::cuda_host::LaunchShape shape;
  CUfunc_st* function = nullptr;
  std::vector<std::byte> args;
  std::vector<size_t> after;
  bool ahead = false;  // behind a programmatic edge
};
struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};
struct CUgraphExec_st {
  std::vector<CUgraphNode_st> nodes;
};

}  // namespace kl::cuda

namespace kl::cuda_host {
namespace {

using namespace cuda;

constexpr size_t kPage = 4096;
constexpr unsigned char kGuard = 0xa5, kFresh = 0xff;  // fresh memory is NaN as floats

// Pages of no access lie before and behind; the bytes end where the pages do, but for 256-byte alignment. What is left of the first and the last page is filled and
// looked at behind every kernel.
struct Allocation {
  std::byte *map = nullptr, *begin = nullptr;
  size_t map_bytes = 0, bytes = 0;
  bool is_host = false;
  bool written = false;    // by a kernel, at some time
  bool read_only = false;  // as pages: the first write of a kernel is noticed
  std::byte* inner_end() const { return map + map_bytes - kPage; }
  void allow(int protection) { mprotect(map + kPage, map_bytes - 2 * kPage, protection); }
  bool intact() const {
    const auto guard = [](std::byte b) { return b == std::byte{kGuard}; };
    return std::all_of(map + kPage, begin, guard) && std::all_of(begin + bytes, inner_end(), guard);
  }
};

struct World {
  std::vector<CUctx_st*> current;
  std::map<uint64_t, Allocation> allocations;  // by address
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
  uint64_t random = 88172645463325252u;
};
World& world() {
  static auto* const w = new World;
  return *w;
}

CUctx_st* current() { return world().current.empty() ? nullptr : world().current.back(); }

uint64_t next_random() {
  uint64_t& s = world().random;
  s ^= machine().seed * 0x9e3779b97f4a7c15u;
  if (s == 0) s = 1;
  s ^= s << 13;
  s ^= s >> 7;
  s ^= s << 17;
  return s;
}

// What a call begins with: a failure that was asked for, or the context's sticky error.
int enter(const char* call, bool needs_context = true) {
  Machine& m = machine();
  if (m.fail_call == call) {
    m.fail_call.clear();
    if (m.fail_code >= 700 && current() != nullptr) current()->error = m.fail_code;
    return m.fail_code;
  }
  if (!needs_context) return kCudaSuccess;
  return current() == nullptr ? 201 /* INVALID_CONTEXT */ : current()->error;
}
#define KL_ENTER(...) \
  if (const int entered = enter(__VA_ARGS__); entered != 0) return entered

int allocate(size_t bytes, bool is_host, uint64_t* address) {
  if (bytes == 0) return kCudaInvalidValue;
  const size_t rounded = (bytes + 255) / 256 * 256, pages = (rounded + kPage - 1) / kPage * kPage;
  Allocation a;
  a.map_bytes = pages + 2 * kPage;
  void* map = mmap(nullptr, a.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return kCudaOutOfMemory;
  a.map = static_cast<std::byte*>(map);
  a.begin = a.inner_end() - rounded;
  a.bytes = bytes;
  a.is_host = is_host;
  std::memset(a.map + kPage, kGuard, pages);
  if (bytes <= (size_t{64} << 20)) std::memset(a.begin, kFresh, bytes);
  mprotect(a.map, kPage, PROT_NONE);
  mprotect(a.inner_end(), kPage, PROT_NONE);
  *address = reinterpret_cast<uint64_t>(a.begin);
  world().allocations[*address] = a;
  if (!is_host) machine().allocated_bytes += bytes;
  ++machine().allocations;
  return kCudaSuccess;
}

int release(uint64_t address) {
  const auto at = world().allocations.find(address);
  if (at == world().allocations.end()) return kCudaInvalidValue;
  if (!at->second.is_host) machine().allocated_bytes -= at->second.bytes;
  --machine().allocations;
  munmap(at->second.map, at->second.map_bytes);
  world().allocations.erase(at);
  return kCudaSuccess;
}

bool lies_within(uint64_t address, size_t bytes) {
  const auto behind = world().allocations.upper_bound(address);
  if (behind == world().allocations.begin()) return false;
  const auto& [begin, a] = *std::prev(behind);
  return address + bytes <= begin + a.bytes;
}

// A kernel touched memory that it may not: that is how the first write to an allocation is noticed.
Access access_of(void* address) {
  auto* const at = static_cast<std::byte*>(address);
  for (auto& [begin, a] : world().allocations) {
    if (at < a.map + kPage || at >= a.inner_end()) continue;
    if (a.written) return Access::too_early;
    if (!a.read_only) return Access::illegal;
    a.read_only = false;
    a.written = true;
    a.allow(PROT_READ | PROT_WRITE);
    return Access::allowed;
  }
  return Access::illegal;
}

// Constants are what no kernel has written so far. A launch that begins ahead reads nothing else before it waits: some of its blocks run so far while all that kernels write is
// out of reach.
std::vector<std::string> check_ahead(const CUgraphNode_st& node, const LaunchShape& shape) {
  ++machine().ahead;
  for (auto& [begin, a] : world().allocations) {
    if (a.written) a.allow(PROT_NONE);
  }
  std::vector<std::string> found = run_ahead(node.function->entry->name, node.function->entry->body, node.args.data(), shape);
  for (auto& [begin, a] : world().allocations) {
    if (a.written) a.allow(PROT_READ | PROT_WRITE);
  }
  return found;
}

int run_kernel(CUctx_st* context, const CUgraphNode_st& node) {
  if (context->error != 0) return context->error;
  ++machine().launches;
  LaunchShape shape = node.shape;
  shape.seed = next_random();
  shape.ahead = node.ahead;
  on_access = access_of;
  for (auto& [begin, a] : world().allocations) {
    if (a.is_host || a.written || a.read_only) continue;
    a.read_only = true;
    a.allow(PROT_READ);
  }
  std::vector<std::string> found;
  if (shape.ahead) found = check_ahead(node, shape);
  if (found.empty()) found = run_launch(node.function->entry->name, node.function->entry->body, node.args.data(), shape);
  for (const auto& [address, a] : world().allocations) {
    if (!a.intact())
      found.push_back("global memory around an allocation of " + std::to_string(a.bytes) + " bytes was written by " +
                      node.function->entry->name);
  }
  if (found.empty()) return kCudaSuccess;
  const bool illegal = std::any_of(found.begin(), found.end(), [](const std::string& f) { return f.starts_with(kIllegalAddress); });
  for (const std::string& f : found) {
    std::fprintf(stderr, "cuda_host: %s\n", f.c_str());
    machine().findings.push_back(f);
  }
  return context->error = illegal ? kCudaIllegalAddress : kCudaLaunchFailed;
}

// Nodes in an order of their own that the edges allow.
int run_graph(CUctx_st* context, const CUgraphExec_st& exec) {
  std::vector<size_t> waits(exec.nodes.size());
  std::vector<std::vector<size_t>> behind(exec.nodes.size());
  std::vector<size_t> ready;
  for (size_t i = 0; i < exec.nodes.size(); ++i) {
    waits[i] = exec.nodes[i].after.size();
    for (const size_t before : exec.nodes[i].after) behind[before].push_back(i);
    if (waits[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    std::swap(ready[next_random() % ready.size()], ready.back());
    const size_t at = ready.back();
    ready.pop_back();
    if (const int code = run_kernel(context, exec.nodes[at]); code != kCudaSuccess) return code;
    for (const size_t next : behind[at]) {
      if (--waits[next] == 0) ready.push_back(next);
    }
  }
  return kCudaSuccess;
}

// Work is done when somebody asks for it: who forgets to wait reads what was there before.
int enqueue(CUstream_st* stream, std::function<int()> work) {
  stream->work.push_back(std::move(work));
  return kCudaSuccess;
}
int drain(CUstream_st* stream) {
  while (!stream->work.empty()) {
    const int code = stream->work.front()();
    stream->work.pop_front();
    if (code != kCudaSuccess) return code;
  }
  return stream->context->error;
}
std::set<CUstream_st*>& streams() {
  static auto* const all = new std::set<CUstream_st*>;
  return *all;
}

int copy(uint64_t to, uint64_t from, size_t bytes, bool to_device, bool from_device, CUstream_st* stream) {
  if ((to_device && !lies_within(to, bytes)) || (from_device && !lies_within(from, bytes))) return kCudaInvalidValue;
  return enqueue(stream, [=] {
    for (auto& [begin, a] : world().allocations) {
      if (!a.read_only || to < begin || to >= begin + a.bytes) continue;
      a.read_only = false;
      a.allow(PROT_READ | PROT_WRITE);
    }
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);  // NOLINT(performance-no-int-to-ptr)
    return 0;
  });
}

int gpu_of(int device, const EmulatedGpu** gpu) {
  if (device < 0 || static_cast<size_t>(device) >= machine().gpus.size()) return 101 /* INVALID_DEVICE */;
  *gpu = &machine().gpus[static_cast<size_t>(device)];
  return kCudaSuccess;
}

int attribute_of(const EmulatedGpu& g, int attribute) {
  switch (attribute) {
    case kAttributeMajor:
      return g.major;
    case kAttributeMinor:
      return g.minor;
    case kAttributeMultiprocessors:
      return g.multiprocessors;
    case kAttributeClockKhz:
      return g.clock_khz;
    case kAttributeIntegrated:
      return g.integrated;
    case kAttributeComputeMode:
      return g.compute_mode;
    case kAttributeSharedOptin:
      return 99 << 10;
    default:
      return 0;
  }
}

Driver make_driver() {
  Driver d;
  d.init = [](unsigned) { return enter("cuInit", false); };
  d.driver_version = [](int* version) {
    *version = 13000;
    return 0;
  };
  d.device_count = [](int* count) {
    KL_ENTER("cuDeviceGetCount", false);
    *count = static_cast<int>(machine().gpus.size());
    return 0;
  };
  d.device_get = [](int* device, int ordinal) {
    *device = ordinal;
    return 0;
  };
  d.device_name = [](char* name, int bytes, int device) {
    const EmulatedGpu* g = nullptr;
    if (const int code = gpu_of(device, &g); code != 0) return code;
    std::strncpy(name, g->name.c_str(), static_cast<size_t>(bytes));
    return 0;
  };
  d.device_uuid = [](DeviceUuid* uuid, int device) {
    std::memset(uuid, 0, sizeof *uuid);
    uuid->bytes[15] = static_cast<char>(device);
    return 0;
  };
  d.device_memory = [](size_t* bytes, int device) {
    const EmulatedGpu* g = nullptr;
    if (const int code = gpu_of(device, &g); code != 0) return code;
    *bytes = g->memory_bytes;
    return 0;
  };
  d.device_attribute = [](int* value, int attribute, int device) {
    const EmulatedGpu* g = nullptr;
    if (const int code = gpu_of(device, &g); code != 0) return code;
    *value = attribute_of(*g, attribute);
    return 0;
  };
  d.context_create = [](DriverContext* context, unsigned, int device) {
    KL_ENTER("cuCtxCreate_v2", false);
    *context = new CUctx_st{device};
    ++machine().contexts;
    world().current.push_back(*context);
    return 0;
  };
  d.context_destroy = [](DriverContext context) {
    delete context;
    --machine().contexts;
    return 0;
  };
  d.context_push = [](DriverContext context) {
    world().current.push_back(context);
    return 0;
  };
  d.context_pop = [](DriverContext* context) {
    if (world().current.empty()) return 201;
    *context = world().current.back();
    world().current.pop_back();
    return 0;
  };
  d.memory_info = [](size_t* free, size_t* total) {
    KL_ENTER("cuMemGetInfo_v2");
    *total = machine().gpus[static_cast<size_t>(current()->device)].memory_bytes;
    *free = *total - std::min<size_t>(*total, machine().allocated_bytes);
    return 0;
  };
  d.memory_allocate = [](DevicePointer* address, size_t bytes) {
    KL_ENTER("cuMemAlloc_v2");
    if (bytes > machine().gpus[static_cast<size_t>(current()->device)].memory_bytes - machine().allocated_bytes)
      return int{kCudaOutOfMemory};
    uint64_t at = 0;
    const int code = allocate(bytes, false, &at);
    *address = at;
    return code;
  };
  d.memory_free = [](DevicePointer address) { return release(address); };
  d.host_allocate = [](void** address, size_t bytes, unsigned) {
    KL_ENTER("cuMemHostAlloc");
    uint64_t at = 0;
    const int code = allocate(bytes, true, &at);
    *address = reinterpret_cast<void*>(at);  // NOLINT(performance-no-int-to-ptr)
    return code;
  };
  d.host_free = [](void* address) { return release(reinterpret_cast<uint64_t>(address)); };
  d.host_device_address = [](DevicePointer* address, void* host, unsigned) {
    KL_ENTER("cuMemHostGetDevicePointer_v2");
    *address = reinterpret_cast<uint64_t>(host);
    return 0;
  };
  d.copy_to_device = [](DevicePointer to, const void* from, size_t bytes, Stream stream) {
    KL_ENTER("cuMemcpyHtoDAsync_v2");
    return copy(to, reinterpret_cast<uint64_t>(from), bytes, true, false, stream);
  };
  d.copy_to_host = [](void* to, DevicePointer from, size_t bytes, Stream stream) {
    KL_ENTER("cuMemcpyDtoHAsync_v2");
    return copy(reinterpret_cast<uint64_t>(to), from, bytes, false, true, stream);
  };
  d.copy_on_device = [](DevicePointer to, DevicePointer from, size_t bytes, Stream stream) {
    KL_ENTER("cuMemcpyDtoDAsync_v2");
    return copy(to, from, bytes, true, true, stream);
  };
  d.stream_create = [](Stream* stream, unsigned) {
    KL_ENTER("cuStreamCreate");
    *stream = new CUstream_st{current(), {}};
    streams().insert(*stream);
    return 0;
  };
  d.stream_destroy = [](Stream stream) {
    streams().erase(stream);
    delete stream;
    return 0;
  };
  d.event_create = [](Event* event, unsigned) {
    KL_ENTER("cuEventCreate");
    *event = new CUevent_st;
    return 0;
  };
  d.event_record = [](Event event, Stream stream) {
    KL_ENTER("cuEventRecord");
    event->done = false;
    return enqueue(stream, [event] {
      event->done = true;
      return 0;
    });
  };
  d.event_query = [](Event event) {
    KL_ENTER("cuEventQuery");
    if (event->done) return int{kCudaSuccess};
    if (machine().hangs && machine().launched) return int{kCudaNotReady};
    for (CUstream_st* stream : streams()) {
      if (stream->context != current()) continue;
      if (const int code = drain(stream); code != 0) return code;
    }
    return event->done ? int{kCudaSuccess} : int{kCudaNotReady};
  };
  d.event_destroy = [](Event event) {
    delete event;
    return 0;
  };
  d.module_load = [](Module* module, const void* code) {
    KL_ENTER("cuModuleLoadData");
    *module = new CUmod_st{static_cast<const char*>(code)};
    return 0;
  };
  d.module_unload = [](Module module) {
    delete module;
    return 0;
  };
  d.module_function = [](Function* function, Module module, const char* name) {
    KL_ENTER("cuModuleGetFunction");
    const std::string kernel = std::strncmp(name, "kl_", 3) == 0 ? name + 3 : "";  // KL_KERNEL's prefix
    const KernelEntry* entry = find_kernel(kernel);
    if (entry == nullptr || kernel.substr(0, kernel.find("__")) != module->file) return int{kCudaNotFound};
    std::unique_ptr<CUfunc_st>& f = world().functions[kernel];
    if (f == nullptr) f = std::make_unique<CUfunc_st>();
    f->entry = entry;
    *function = f.get();
    return 0;
  };
  d.function_set = [](Function function, int attribute, int value) {
    KL_ENTER("cuFuncSetAttribute");
    if (attribute != kFunctionMaxDynamicShared || value < 0 || value > 99 << 10) return int{kCudaInvalidValue};
    function->shared_bytes = static_cast<uint32_t>(value);
    return 0;
  };
  d.graph_create = [](Graph* graph, unsigned) {
    KL_ENTER("cuGraphCreate");
    *graph = new CUgraph_st;
    return 0;
  };
  d.graph_add_kernel = [](GraphNode* node, Graph graph, const GraphNode* after, size_t count, const KernelNodeParams* p) {
    KL_ENTER("cuGraphAddKernelNode_v2");
    const KernelEntry& entry = *p->function->entry;
    if (p->block_x * p->block_y * p->block_z > entry.threads || p->shared_bytes > p->function->shared_bytes || p->grid_x == 0 ||
        p->grid_y == 0 || p->grid_z == 0 || p->grid_y > 65535 || p->grid_z > 65535)
      return int{kCudaInvalidValue};
    auto n = std::make_unique<CUgraphNode_st>();
    n->function = p->function;
    n->shape = {{p->grid_x, p->grid_y, p->grid_z}, {p->block_x, p->block_y, p->block_z}, p->shared_bytes, 0};
    n->args.resize(entry.args_bytes);
    std::memcpy(n->args.data(), p->params[0], entry.args_bytes);
    for (size_t i = 0; i < count; ++i) {
      const auto at = std::find_if(graph->nodes.begin(), graph->nodes.end(), [&](const auto& each) { return each.get() == after[i]; });
      if (at == graph->nodes.end()) return int{kCudaInvalidValue};
      n->after.push_back(static_cast<size_t>(at - graph->nodes.begin()));
    }
    *node = n.get();
    graph->nodes.push_back(std::move(n));
    return 0;
  };
  d.graph_add_dependencies = [](Graph graph, const GraphNode* from, const GraphNode* to, const GraphEdge* edges, size_t count) {
    KL_ENTER("cuGraphAddDependencies_v2");
    if (edges != nullptr && !machine().programmatic) return int{kCudaNotSupported};
    for (size_t i = 0; i < count; ++i) {
      const auto at = std::find_if(graph->nodes.begin(), graph->nodes.end(), [&](const auto& each) { return each.get() == from[i]; });
      if (at == graph->nodes.end()) return int{kCudaInvalidValue};
      if (edges != nullptr && (edges[i].type != kEdgeProgrammatic || edges[i].from_port != kPortProgrammatic || edges[i].to_port != 0))
        return int{kCudaInvalidValue};
      to[i]->after.push_back(static_cast<size_t>(at - graph->nodes.begin()));
      to[i]->ahead = edges != nullptr;
    }
    return 0;
  };
  d.graph_instantiate = [](GraphExec* exec, Graph graph, unsigned long long) {
    KL_ENTER("cuGraphInstantiateWithFlags");
    *exec = new CUgraphExec_st;
    for (const auto& node : graph->nodes) (*exec)->nodes.push_back(*node);
    ++machine().graphs;
    return 0;
  };
  d.graph_launch = [](GraphExec exec, Stream stream) {
    KL_ENTER("cuGraphLaunch");
    machine().launched = true;
    return enqueue(stream, [context = stream->context, exec] { return run_graph(context, *exec); });
  };
  d.graph_exec_destroy = [](GraphExec exec) {
    delete exec;
    --machine().graphs;
    return 0;
  };
  d.graph_destroy = [](Graph graph) {
    delete graph;
    return 0;
  };
  d.error_name = [](int code, const char** name) {
    *name = code == kCudaOutOfMemory      ? "CUDA_ERROR_OUT_OF_MEMORY"
            : code == kCudaIllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : code == kCudaLaunchFailed   ? "CUDA_ERROR_LAUNCH_FAILED"
                                          : "CUDA_ERROR";
    return 0;
  };
  return d;
}

}  // namespace

Machine& machine() {
  static auto* const m = new Machine;
  return *m;
}

const Driver& driver() {
  static const Driver kDriver = make_driver();
  return kDriver;
}

}  // namespace kl::cuda_host
