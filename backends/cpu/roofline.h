// The machine's limits, measured: what every speed is divided by.
#pragma once
#include <cstddef>

#include "core/status.h"
#include "cpu/isa/isa.h"

namespace kl::cpu {

struct Roofline {
  Isa isa = Isa::generic;
  unsigned threads = 1;
  double read_bytes_per_second = 0;  // main memory, huge pages where the system gives them, all threads together
  double dot_macs_per_second = 0;    // int8 multiply-adds by this instruction set's own dot
  double fma_macs_per_second = 0;    // float32 multiply-adds
};

struct RooflineOptions {
  size_t bytes = size_t{512} << 20;  // read by all threads together; several times the last-level cache
  double seconds = 0.2;              // spent on each of the three
};

// Runs `threads` threads of its own (1 or more) for about 3 * seconds and keeps the best of short runs, so that a neighbour's burst does not count.
// Errors: invalid_argument (threads 0, isa not available, bytes below 2 MiB a thread), out_of_memory. Thread-safe, but two at once measure each other.
Result<Roofline> measure_roofline(Isa isa, unsigned threads, const RooflineOptions& options = {});

}  // namespace kl::cpu
