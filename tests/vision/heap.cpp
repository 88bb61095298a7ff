#include "vision/heap.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<size_t> used{0};
std::atomic<size_t> peak{0};

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)

namespace kl::testing {
bool heap_is_counted() { return false; }
}  // namespace kl::testing

#else

namespace {

void* taken(void* block) {
  if (block == nullptr) return block;
  const size_t now = used += malloc_usable_size(block);
  for (size_t seen = peak; now > seen && !peak.compare_exchange_weak(seen, now);) {
  }
  return block;
}

void given_back(void* block) {
  if (block != nullptr) used -= malloc_usable_size(block);
}

}  // namespace

extern "C" {
// glibc's own functions behind the names that the C library documents as replaceable ("Replacing malloc").
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) { return taken(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return taken(__libc_calloc(count, size)); }
void* realloc(void* block, size_t size) {
  given_back(block);
  return taken(__libc_realloc(block, size));
}
void free(void* block) {
  given_back(block);
  __libc_free(block);
}
void* memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = taken(__libc_memalign(alignment, size));
  return *block == nullptr ? ENOMEM : 0;
}
}

namespace kl::testing {
bool heap_is_counted() { return true; }
}  // namespace kl::testing

#endif

namespace kl::testing {

HeapPeak::HeapPeak() : before_(used) { peak = before_; }
size_t HeapPeak::bytes() const { return peak - before_; }

}  // namespace kl::testing
