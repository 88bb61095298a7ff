// An emulated CUDA driver: the table that backends/cuda is written against, over host memory with guards, kernels run by block.h, work that runs when it is waited for.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/driver.h"

namespace kl::cuda_host {

struct EmulatedGpu {
  std::string name = "emulated GPU";
  int major = 9, minor = 0, multiprocessors = 4, clock_khz = 1000000;
  uint64_t memory_bytes = uint64_t{4} << 30;
  int integrated = 0, compute_mode = 0;
};

// What the driver is like, and what went wrong. One for the process, like a driver.
struct Machine {
  std::vector<EmulatedGpu> gpus{EmulatedGpu{}};
  uint64_t seed = 1;         // of all orders that are random: threads, blocks, nodes of a graph that do not wait for each other
  std::string fail_call;     // this call ("cuMemAlloc_v2") ...
  int fail_code = 0;         // ... fails once with this code
  bool hangs = false;        // graphs that are launched are never done
  bool launched = false;     // a graph was
  bool programmatic = true;  // the driver knows edges between launches of which the second begins before the first has ended
  // Seen.
  std::vector<std::string> findings;  // of the checks; a launch with findings loses the device
  uint64_t launches = 0, ahead = 0;   // ahead: those behind such an edge
  uint64_t allocated_bytes = 0, allocations = 0, contexts = 0, graphs = 0;
};
Machine& machine();

const cuda::Driver& driver();

}  // namespace kl::cuda_host
