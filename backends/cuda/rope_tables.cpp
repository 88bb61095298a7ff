#include "cuda/rope_tables.h"

#include <span>

namespace kl::cuda {
namespace {

DeviceRope addresses(const DeviceMemory& turns, const DeviceMemory& components) {
  return {reinterpret_cast<const float*>(turns.address()), reinterpret_cast<const uint32_t*>(components.address())};
}

}  // namespace

Result<DeviceRope> RopeTables::get(const RopeSpec& spec, const std::vector<float>& factors) {
  for (const Entry& each : entries_) {
    if (same_rope_table(each.spec, spec) && each.factors == factors) return addresses(*each.turns, *each.components);
  }
  KL_ASSIGN(const RopeTable table, rope_table(spec, factors));
  Entry entry{spec, factors, nullptr, nullptr};
  const auto upload = [&](std::span<const std::byte> bytes, std::unique_ptr<DeviceMemory>& to) -> Status {
    KL_ASSIGN(to, DeviceMemory::allocate(context_, bytes.size(), Access::device));
    CopyRequest request;
    request.to = to.get();
    request.from_host = bytes.data();
    request.bytes = bytes.size();
    return copier_.copy(request);
  };
  KL_TRY(upload(std::as_bytes(std::span(table.turns)), entry.turns));
  KL_TRY(upload(std::as_bytes(std::span(table.components)), entry.components));
  entries_.push_back(std::move(entry));
  return addresses(*entries_.back().turns, *entries_.back().components);
}

}  // namespace kl::cuda
