// Every call this library makes to the operating system's files and mappings, as one table of functions: os.cpp is the only file that
// includes POSIX headers for them, and a test installs a table whose n-th call fails (bar B2).
// Results are never negative; -errno reports the failure. All functions are thread-safe; none throws.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace kl {

struct OsFileStat {
  uint64_t size = 0;        // bytes
  int64_t modified_ns = 0;  // since 1970
  bool regular = false;     // a file with bytes: not a folder, pipe, socket or device
  bool folder = false;
};

enum class OsAdvice : uint8_t { sequential, will_need, dont_need, huge_pages };

struct OsTable {
  int (*open_read)(const char* path);    // never blocks on a pipe, is not inherited by child processes
  int (*open_entry)(const char* path);   // as open_read; -ELOOP when the name is a link
  int (*open_new)(const char* path);     // for writing; -EEXIST when the name is taken; only the user may read it
  int (*open_folder)(const char* path);  // for sync
  int (*duplicate)(int fd);
  int (*close)(int fd);
  int (*stat)(int fd, OsFileStat* out);
  int64_t (*pread)(int fd, void* out, size_t size, uint64_t offset);  // bytes read, 0 at the end of the file
  int64_t (*write)(int fd, const void* bytes, size_t size);           // bytes written
  int (*touch)(int fd);                                               // modified now; the user must own the file
  int (*sync)(int fd);                                                // to the medium, as far as the system can tell
  int (*rename)(const char* from, const char* to);                    // replaces `to`
  int (*unlink)(const char* path);
  int (*make_folder)(const char* path);         // -EEXIST when it is there
  int (*map)(int fd, size_t size, void** out);  // read only; size > 0
  int (*unmap)(void* address, size_t size);
  int (*advise)(void* address, size_t size, OsAdvice advice);  // address on a page boundary
  // Calls visit(context, name) for every name in the folder but "." and "..".
  int (*list)(const char* path, void (*visit)(void* context, const char* name), void* context);
};

const OsTable& os();  // the installed table, posix_os() at first
const OsTable& posix_os();
void install_os(const OsTable* table);  // for tests; nullptr: posix_os(). The table must outlive its use.

size_t page_bytes();  // of the memory mapping
uint32_t process_id();
bool process_runs(uint32_t id);              // false: certainly not, in what this process can see
std::string errno_text(int negative_errno);  // "No space left on device (28)"

inline constexpr int kOsInterrupted = -4;  // -EINTR

// Repeats a call that a signal interrupted. Bounded: a call that never ends with anything else is reported, not waited for.
template <class Call>
auto retry_interrupted(Call call) -> decltype(call()) {
  constexpr int kMaxRetries = 100;
  auto result = call();
  for (int i = 0; i < kMaxRetries && result == kOsInterrupted; ++i) result = call();
  return result;
}

}  // namespace kl
