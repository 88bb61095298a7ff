// What attention and the cache writer share and no instruction set changes; compiled once, for the base architecture.
#pragma once
#include "backend/kv_page.h"

namespace kl::cpu {

// kv_page_layout, out of line: files of one instruction set call no inline functions of other headers (simd/common.h).
KvPageLayout page_layout(const KvPageShape& shape);

inline constexpr uint32_t kTileQueries = 96;  // rows * query heads that go through the pages together

}  // namespace kl::cpu
