#include "engine/handles.h"

namespace kl {
namespace {

// Bits of a key, low to high: slot, generation, kind. With 64 bits the kind's byte makes a key an address that no process has.
constexpr bool kWide = sizeof(void*) == 8;
constexpr unsigned kSlotBits = kWide ? 24 : 14;
constexpr unsigned kGenerationBits = kWide ? 32 : 14;
constexpr uint64_t kMark = kWide ? 0xA0 : 8;  // added to the kind

struct Parts {
  uint64_t kind, generation, slot;
};
Parts parts_of(const void* key) {
  const uint64_t bits = reinterpret_cast<uintptr_t>(key);
  return {bits >> (kSlotBits + kGenerationBits), bits >> kSlotBits & ((uint64_t{1} << kGenerationBits) - 1),
          bits & ((uint64_t{1} << kSlotBits) - 1)};
}
void* key_of(HandleKind kind, uint64_t generation, uint64_t slot) {
  return reinterpret_cast<void*>(
      static_cast<uintptr_t>((kMark + static_cast<uint64_t>(kind)) << (kSlotBits + kGenerationBits) | generation << kSlotBits | slot));
}

}  // namespace

void* HandleTable::add(HandleKind kind, std::shared_ptr<void> object) {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    if (slots_.size() >> kSlotBits != 0) return nullptr;
    free_.reserve(slots_.size() + 1);
    slots_.emplace_back();
    free_.push_back(static_cast<uint32_t>(slots_.size() - 1));
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  slots_[slot].object = std::move(object);
  slots_[slot].kind = kind;
  return key_of(kind, slots_[slot].generation, slot);
}

HandleTable::Slot* HandleTable::locate(HandleKind kind, const void* key) noexcept {
  const Parts parts = parts_of(key);
  if (parts.kind != kMark + static_cast<uint64_t>(kind) || parts.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[parts.slot];
  return slot.object && slot.kind == kind && slot.generation == parts.generation ? &slot : nullptr;
}

std::shared_ptr<void> HandleTable::find(HandleKind kind, const void* key) const noexcept {
  const std::lock_guard lock(mutex_);
  const Slot* const slot = const_cast<HandleTable*>(this)->locate(kind, key);
  return slot ? slot->object : nullptr;
}

std::shared_ptr<void> HandleTable::remove(HandleKind kind, const void* key) noexcept {
  const std::lock_guard lock(mutex_);
  Slot* const slot = locate(kind, key);
  if (!slot) return nullptr;
  std::shared_ptr<void> object = std::move(slot->object);
  slot->object.reset();
  // A slot whose counter is used up is never given out again.
  if (++slot->generation >> (kGenerationBits - 1) == 0) free_.push_back(static_cast<uint32_t>(slot - slots_.data()));
  return object;
}

size_t HandleTable::size() const {
  const std::lock_guard lock(mutex_);
  size_t live = 0;
  for (const Slot& slot : slots_) live += slot.object ? 1 : 0;
  return live;
}

HandleTable& handles() {
  static auto* const table = new HandleTable();
  return *table;
}

}  // namespace kl
