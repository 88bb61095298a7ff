// What an open reservation has changed, so that it can be undone without a trace.
#pragma once
#include <cstdint>
#include <vector>

#include "kv/group.h"

namespace kl {

struct Reservation {
  // The last page of a table was shared or in the index: the table has a fresh page instead, the old one is still referenced.
  struct Replaced {
    uint32_t group = 0, logical = 0, old_page = 0;
  };
  uint32_t tokens = 0;                // 0: none is open
  std::vector<uint32_t> table_sizes;  // per group, before
  std::vector<Replaced> replaced;
  std::vector<BlockCopy> copies;  // one per replaced page

  bool open() const { return tokens != 0; }
  void clear() {
    tokens = 0;
    table_sizes.clear();
    replaced.clear();
    copies.clear();
  }
};

}  // namespace kl
