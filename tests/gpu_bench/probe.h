// What a card costs before it computes anything.
#pragma once
#include "cuda/context.h"

namespace kl::gpu_bench {

struct ProbeSizes {
  uint64_t read_bytes = uint64_t{1} << 30;  // more than any cache holds; a multiple of 16
  uint32_t nodes = 1000;                    // launches of a graph
  uint32_t repeats = 5;                     // the best is taken
};

struct CardCosts {
  double read_bytes_per_second = 0;
  double graph_seconds = 0;      // a graph of one empty launch, from the call until the host knows it is done
  double launch_seconds = 0;     // one more launch in a graph that waits for none of the others
  double dependent_seconds = 0;  // one more that waits for the one before: what a barrier of a plan costs
  uint32_t read_check = 0;       // exclusive or of what was read: tests compare
};

// Errors: those of the device; internal: the read kernel did not read what was written.
Result<CardCosts> probe_card(const cuda::Driver& driver, uint32_t device, const ProbeSizes& sizes);

}  // namespace kl::gpu_bench
