#include "cpu/memory.h"

#include <sys/mman.h>

#include <new>

#include "core/checked.h"

namespace kl::cpu {
namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;

class HostMemory final : public Memory {
 public:
  HostMemory(std::byte* mapping, uint64_t mapped, std::byte* base, uint64_t bytes)
      : mapping_(mapping), mapped_(mapped), base_(base), bytes_(bytes) {}
  ~HostMemory() override { munmap(mapping_, mapped_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  uint64_t bytes() const override { return bytes_; }
  std::byte* host() const override { return base_; }

 private:
  std::byte* mapping_;
  uint64_t mapped_;
  std::byte* base_;
  uint64_t bytes_;
};

}  // namespace

Result<std::unique_ptr<Memory>> allocate_host(uint64_t bytes) {
  // Large blocks start on a huge page; small ones take ordinary pages.
  const bool large = bytes >= kHugePage;
  const std::optional<uint64_t> rounded = checked_round_up<uint64_t>(bytes == 0 ? 1 : bytes, 4096);
  const std::optional<uint64_t> mapped = rounded ? checked_add<uint64_t>(*rounded, large ? kHugePage : 0) : std::nullopt;
  if (!mapped) return error(Code::out_of_memory, "cannot address %s bytes", with_commas(bytes).c_str());
  void* mapping = mmap(nullptr, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return error(Code::out_of_memory, "the system refused %s bytes", with_commas(bytes).c_str());
  auto* base = static_cast<std::byte*>(mapping);
  if (large) {
    const auto address = reinterpret_cast<uintptr_t>(base);
    base += round_up(address, kHugePage) - address;
#if defined(MADV_HUGEPAGE)
    (void)madvise(base, *rounded, MADV_HUGEPAGE);  // a wish: without huge pages all is the same, only slower
#endif
  }
  auto* held = new (std::nothrow) HostMemory(static_cast<std::byte*>(mapping), *mapped, base, bytes);
  if (held == nullptr) {
    munmap(mapping, *mapped);
    return error(Code::out_of_memory, "the system refused a few bytes");
  }
  return std::unique_ptr<Memory>(held);
}

}  // namespace kl::cpu
