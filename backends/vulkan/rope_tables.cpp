#include "vulkan/rope_tables.h"

#include <cstring>

#include "backend/rope_table.h"
#include "core/checked.h"

namespace kl::vulkan {

Result<RopeTable> RopeTables::get(const RopeSpec& spec, const std::vector<float>& factors) {
  for (const Entry& each : entries_) {
    if (same_rope_table(each.spec, spec) && each.factors == factors) return each.table;
  }
  KL_ASSIGN(const kl::RopeTable table, rope_table(spec, factors));
  Entry entry{spec, factors, nullptr, {}};
  const uint64_t table_bytes = round_up(table.turns.size() * sizeof(float), kBufferAlignment);
  KL_ASSIGN(entry.memory, DeviceMemory::allocate(context_, table_bytes + table.components.size() * 4, Access::upload, false));
  std::memcpy(entry.memory->host(), table.turns.data(), table.turns.size() * sizeof(float));
  std::memcpy(entry.memory->host() + table_bytes, table.components.data(), table.components.size() * 4);
  entry.table = {entry.memory.get(), table_bytes};
  entries_.push_back(std::move(entry));
  return entries_.back().table;
}

}  // namespace kl::vulkan
