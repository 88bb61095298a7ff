// What the pointers of the C boundary are: keys into a table, never addresses (R29). A key holds its kind, a slot and the slot's generation counter, so that
// null, destroyed, foreign and invented handles are told from live ones without touching memory they might point to.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace kl {

enum class HandleKind : uint8_t { engine = 1, model = 2, session = 3, generation = 4, sequence = 5, image = 6 };

// Thread-safe.
class HandleTable {
 public:
  // Throws std::bad_alloc and leaves no trace. Null when there are no keys left.
  void* add(HandleKind kind, std::shared_ptr<void> object);
  // The object, kept alive by the result; null when the key is not a live one of this kind.
  std::shared_ptr<void> find(HandleKind kind, const void* key) const noexcept;
  // The same, and the key is dead afterwards: of two calls one gets the object. Allocates nothing.
  std::shared_ptr<void> remove(HandleKind kind, const void* key) noexcept;
  size_t size() const;

 private:
  struct Slot {
    std::shared_ptr<void> object;
    HandleKind kind{};
    uint32_t generation = 0;
  };
  Slot* locate(HandleKind kind, const void* key) noexcept;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // capacity for all slots: giving back cannot fail
};

// The table of the process. Never destroyed: handles may be in use while the process ends.
HandleTable& handles();

}  // namespace kl
