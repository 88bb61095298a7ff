#include "weights/counting_new.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace kl::test {
namespace {

std::atomic<uint64_t> in_use{0}, peak{0}, calls{0}, fail_at{UINT64_MAX};
std::atomic<bool> fail_later{false};

// Before each block: its size, and where malloc put it.
struct Head {
  size_t size;
  void* block;
};

void* take(size_t size, size_t alignment) {
  const uint64_t n = calls.fetch_add(1);
  if (n == fail_at || (fail_later && n > fail_at)) return nullptr;
  if (size > SIZE_MAX / 2) return nullptr;
  constexpr size_t kNatural = alignof(std::max_align_t);
  static_assert(sizeof(Head) == kNatural);
  // No byte follows the usual block, so that a sanitizer sees one read too far.
  const size_t slack = alignment > kNatural ? alignment : 0;
  alignment = std::max(alignment, kNatural);
  void* block = std::malloc(size + sizeof(Head) + slack);
  if (block == nullptr) return nullptr;
  const uintptr_t at = (reinterpret_cast<uintptr_t>(block) + sizeof(Head) + alignment - 1) / alignment * alignment;
  Head* head = reinterpret_cast<Head*>(at) - 1;
  *head = {size, block};
  const uint64_t now = in_use.fetch_add(size) + size;
  uint64_t before = peak;
  while (now > before && !peak.compare_exchange_weak(before, now)) {
  }
  return reinterpret_cast<void*>(at);
}

void give(void* memory) {
  if (memory == nullptr) return;
  const Head head = *(static_cast<Head*>(memory) - 1);
  in_use.fetch_sub(head.size);
  std::free(head.block);
}

void* take_or_throw(size_t size, size_t alignment) {
  void* memory = take(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

uint64_t bytes_in_use() { return in_use; }
uint64_t peak_bytes() { return peak; }
void reset_peak() { peak = in_use.load(); }
void fail_allocation(uint64_t n, bool all_later) {
  fail_at = n;
  fail_later = all_later && n != UINT64_MAX;
  calls = 0;
}
uint64_t allocations() { return calls; }

}  // namespace kl::test

void* operator new(size_t size) { return kl::test::take_or_throw(size, 1); }
void* operator new[](size_t size) { return kl::test::take_or_throw(size, 1); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return kl::test::take(size, 1); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return kl::test::take(size, 1); }
void* operator new(size_t size, std::align_val_t a) { return kl::test::take_or_throw(size, static_cast<size_t>(a)); }
void* operator new[](size_t size, std::align_val_t a) { return kl::test::take_or_throw(size, static_cast<size_t>(a)); }
void* operator new(size_t size, std::align_val_t a, const std::nothrow_t&) noexcept { return kl::test::take(size, static_cast<size_t>(a)); }
void* operator new[](size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return kl::test::take(size, static_cast<size_t>(a));
}
void operator delete(void* memory) noexcept { kl::test::give(memory); }
void operator delete[](void* memory) noexcept { kl::test::give(memory); }
void operator delete(void* memory, size_t) noexcept { kl::test::give(memory); }
void operator delete[](void* memory, size_t) noexcept { kl::test::give(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { kl::test::give(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { kl::test::give(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { kl::test::give(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { kl::test::give(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { kl::test::give(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { kl::test::give(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { kl::test::give(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { kl::test::give(memory); }
