// A layer's KV cache as kernels take it: the page formula of backend/kv_page.h, which has the layouts. Host and device.
#pragma once
#include <cstdint>

namespace kl::cuda {

struct KvPages {
  uint8_t* cache;                // pages of the layer, head after head in each
  const uint32_t* table;         // of the step: [sequences][table_stride] logical page -> physical page
  const uint32_t* row_sequence;  // [T] of the step
  const int32_t* row_slot;       // [T] of the step: a row's index within its sequence's cache
  uint32_t table_stride;
  uint32_t page_bytes, head_bytes;
  uint32_t v_scales, k, k_bits, v;  // bytes within a head; K scales come first
};

}  // namespace kl::cuda
