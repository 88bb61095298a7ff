// An operating system whose n-th call fails (bar B2). While one lives, the library's file calls go through it; one at a time per process.
//
//   FaultyOs os;                       // counts
//   work();
//   for (size_t n = 0; n < os.calls(); ++n) { FaultyOs faulty(n, -EIO); work(); }
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "core/os.h"

namespace kl::test {

class FaultyOs {
 public:
  enum class Kind : uint8_t { none, error, error_from_then_on, short_count };

  FaultyOs() : FaultyOs(SIZE_MAX, 0, Kind::none) {}
  // Call number n (from 0) returns `negative_errno`; with short_count a read or write does half of what was asked, other calls succeed.
  FaultyOs(size_t n, int negative_errno, Kind kind = Kind::error) {
    state() = {kind, n, negative_errno, 0, 0, {}};
    state().names.reserve(kMaxNames);
    install_os(&table());
  }
  ~FaultyOs() { install_os(nullptr); }
  FaultyOs(const FaultyOs&) = delete;
  FaultyOs& operator=(const FaultyOs&) = delete;

  size_t calls() const { return state().calls; }
  const std::vector<const char*>& names() const { return state().names; }  // of the first 4,096 calls
  // Descriptors and mappings opened minus closed since this object began.
  int64_t open_handles() const { return state().open_handles; }

 private:
  static constexpr size_t kMaxNames = 4096;
  struct State {
    Kind kind = Kind::none;
    size_t at = SIZE_MAX;
    int error = 0;
    size_t calls = 0;
    int64_t open_handles = 0;
    std::vector<const char*> names;
  };
  static State& state() {
    static State s;
    return s;
  }
  // 0, or the error to return instead of calling.
  static int fault(const char* name) {
    State& s = state();
    if (s.names.size() < kMaxNames) s.names.push_back(name);  // allocates nothing: close() is called from destructors
    const size_t n = s.calls++;
    const bool hit = s.kind == Kind::error ? n == s.at : s.kind == Kind::error_from_then_on && n >= s.at;
    return hit ? s.error : 0;
  }
  static bool is_short() { return state().kind == Kind::short_count && state().calls == state().at + 1; }
  static int opened(int fd) {
    if (fd >= 0) ++state().open_handles;
    return fd;
  }

  static const OsTable& table() {
    static const OsTable kTable = {
        [](const char* path) { return fault_or("open_read", [&] { return opened(posix_os().open_read(path)); }); },
        [](const char* path) { return fault_or("open_entry", [&] { return opened(posix_os().open_entry(path)); }); },
        [](const char* path) { return fault_or("open_new", [&] { return opened(posix_os().open_new(path)); }); },
        [](const char* path) { return fault_or("open_folder", [&] { return opened(posix_os().open_folder(path)); }); },
        [](int fd) { return fault_or("duplicate", [&] { return opened(posix_os().duplicate(fd)); }); },
        [](int fd) {  // closes even when it reports a failure, as the kernel does
          const int error = fault("close");
          --state().open_handles;
          const int result = posix_os().close(fd);
          return error != 0 ? error : result;
        },
        [](int fd, OsFileStat* out) { return fault_or("stat", [&] { return posix_os().stat(fd, out); }); },
        [](int fd, void* out, size_t size, uint64_t offset) -> int64_t {
          return fault_or("pread", [&] { return posix_os().pread(fd, out, is_short() ? (size + 1) / 2 : size, offset); });
        },
        [](int fd, const void* bytes, size_t size) -> int64_t {
          return fault_or("write", [&] { return posix_os().write(fd, bytes, is_short() ? (size + 1) / 2 : size); });
        },
        [](int fd) { return fault_or("touch", [&] { return posix_os().touch(fd); }); },
        [](int fd) {
          return fault_or("sync", [&] {  // no medium is waited for: no test can cut the power
            OsFileStat open;
            return posix_os().stat(fd, &open);
          });
        },
        [](const char* from, const char* to) { return fault_or("rename", [&] { return posix_os().rename(from, to); }); },
        [](const char* path) { return fault_or("unlink", [&] { return posix_os().unlink(path); }); },
        [](const char* path) { return fault_or("make_folder", [&] { return posix_os().make_folder(path); }); },
        [](int fd, size_t size, void** out) { return fault_or("map", [&] { return opened(posix_os().map(fd, size, out)); }); },
        [](void* address, size_t size) {
          const int error = fault("unmap");
          --state().open_handles;
          const int result = posix_os().unmap(address, size);
          return error != 0 ? error : result;
        },
        [](void* address, size_t size, OsAdvice advice) {
          return fault_or("advise", [&] { return posix_os().advise(address, size, advice); });
        },
        [](const char* path, void (*visit)(void*, const char*), void* context) {
          return fault_or("list", [&] { return posix_os().list(path, visit, context); });
        }};
    return kTable;
  }
  template <class Call>
  static auto fault_or(const char* name, Call call) -> decltype(call()) {
    const int error = fault(name);
    return error != 0 ? error : call();
  }
};

}  // namespace kl::test
