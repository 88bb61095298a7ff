// Pieces of kernels' argument structs. Host and device: plain data, pointers are device addresses. A kernel takes one such struct by value (4 KB at most).
#pragma once
#include <cstdint>

namespace kl::cuda {

// How many rows of this step a value has: a word of the step's header, divided by how many rows were pooled into one.
struct RowCount {
  const uint32_t* live;
  uint32_t pool;
};

}  // namespace kl::cuda
