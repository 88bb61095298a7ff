// The layers whose cache has one shape and one window: they share a pool of pages and, per sequence, one block table.
#pragma once
#include <cstdint>

#include "core/format.h"

namespace kl {

struct KvGroup {
  uint32_t layers = 0;
  uint32_t kv_heads = 0;
  uint32_t head_size = 0;
  uint32_t window = 0;  // 0: every earlier token is seen; else a token sees itself and window - 1 before it
  KvFormat format = KvFormat::f16;
  bool operator==(const KvGroup&) const = default;
};

// The first logical page that a row at `position` can see. Pages before it hold nothing that this or a later row reads.
constexpr uint32_t first_visible_page(const KvGroup& group, uint32_t position) {
  return group.window == 0 || position + 1 <= group.window ? 0 : (position + 1 - group.window) / kKvPageTokens;
}

// A page to be copied on the device, all layers of the group, before the step that writes `to`.
struct BlockCopy {
  uint32_t group = 0, from = 0, to = 0;
  bool operator==(const BlockCopy&) const = default;
};

}  // namespace kl
