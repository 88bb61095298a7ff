// A weight matrix as kernels take it: panels of 16 outputs in the layout of cuda/pack.h, which has the diagrams. Host and device.
#pragma once
#include <cstdint>

namespace kl::cuda {

struct Matrix {
  const void* data;  // null: absent
  uint32_t n, k;     // outputs, weights of an output
  uint32_t tiles;    // of 64 weights along K
  uint32_t high_at, scale_at, super_at, panel_bytes;
};

}  // namespace kl::cuda
