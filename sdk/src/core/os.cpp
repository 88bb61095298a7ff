#include "core/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <limits>
#include <string_view>
#include <system_error>

namespace kl {
namespace {

static_assert(kOsInterrupted == -EINTR);

template <class T>
T or_errno(T result) {
  return result < 0 ? static_cast<T>(-errno) : result;
}

int posix_open_read(const char* path) { return or_errno(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)); }
int posix_open_entry(const char* path) { return or_errno(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)); }
int posix_open_new(const char* path) { return or_errno(::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)); }
int posix_open_folder(const char* path) { return or_errno(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }
int posix_duplicate(int fd) { return or_errno(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
int posix_close(int fd) { return or_errno(::close(fd)); }

int posix_stat(int fd, OsFileStat* out) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return -errno;
  out->size = st.st_size < 0 ? 0 : static_cast<uint64_t>(st.st_size);
#ifdef __APPLE__
  const timespec& time = st.st_mtimespec;
#else
  const timespec& time = st.st_mtim;
#endif
  out->modified_ns = static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  out->regular = S_ISREG(st.st_mode);
  out->folder = S_ISDIR(st.st_mode);
  return 0;
}

int64_t posix_pread(int fd, void* out, size_t size, uint64_t offset) {
  if (offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return -EINVAL;
  return or_errno<int64_t>(::pread(fd, out, size, static_cast<off_t>(offset)));
}
int64_t posix_write(int fd, const void* bytes, size_t size) { return or_errno<int64_t>(::write(fd, bytes, size)); }

int posix_touch(int fd) { return or_errno(::futimens(fd, nullptr)); }

int posix_sync(int fd) {
#ifdef F_FULLFSYNC
  if (::fcntl(fd, F_FULLFSYNC) == 0) return 0;  // on macOS fsync leaves the data in the drive's cache; refused by some file systems
#endif
  return or_errno(::fsync(fd));
}

int posix_rename(const char* from, const char* to) { return or_errno(::rename(from, to)); }
int posix_unlink(const char* path) { return or_errno(::unlink(path)); }
int posix_make_folder(const char* path) { return or_errno(::mkdir(path, 0700)); }

int posix_map(int fd, size_t size, void** out) {
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return -errno;
  *out = address;
  return 0;
}
int posix_unmap(void* address, size_t size) { return or_errno(::munmap(address, size)); }

int posix_advise(void* address, size_t size, OsAdvice advice) {
  switch (advice) {
    case OsAdvice::sequential:
      return or_errno(::madvise(address, size, MADV_SEQUENTIAL));
    case OsAdvice::will_need:
      return or_errno(::madvise(address, size, MADV_WILLNEED));
    case OsAdvice::dont_need:
      return or_errno(::madvise(address, size, MADV_DONTNEED));
    case OsAdvice::huge_pages:
#ifdef MADV_HUGEPAGE
      return or_errno(::madvise(address, size, MADV_HUGEPAGE));
#else
      return -ENOTSUP;
#endif
  }
  return -EINVAL;
}

int posix_list(const char* path, void (*visit)(void* context, const char* name), void* context) {
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return -errno;
  int result = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(folder);  // NOLINT(concurrency-mt-unsafe): its buffer belongs to `folder`, which is ours
    if (entry == nullptr) {
      result = -errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visit(context, entry->d_name);
  }
  ::closedir(folder);
  return result;
}

constexpr OsTable kPosix = {posix_open_read, posix_open_entry,  posix_open_new, posix_open_folder, posix_duplicate, posix_close,
                            posix_stat,      posix_pread,       posix_write,    posix_touch,       posix_sync,      posix_rename,
                            posix_unlink,    posix_make_folder, posix_map,      posix_unmap,       posix_advise,    posix_list};
std::atomic<const OsTable*> installed{&kPosix};

}  // namespace

const OsTable& os() { return *installed.load(std::memory_order_acquire); }
const OsTable& posix_os() { return kPosix; }
void install_os(const OsTable* table) { installed.store(table != nullptr ? table : &kPosix, std::memory_order_release); }

size_t page_bytes() {
  const long size = ::sysconf(_SC_PAGESIZE);
  return size > 0 ? static_cast<size_t>(size) : 4096;
}
uint32_t process_id() { return static_cast<uint32_t>(::getpid()); }
bool process_runs(uint32_t id) {
  const auto process = static_cast<pid_t>(id);
  return process > 0 && (::kill(process, 0) == 0 || errno != ESRCH);  // 0 and below name groups
}

std::string errno_text(int negative_errno) {
  return std::generic_category().message(-negative_errno) + " (" + std::to_string(-negative_errno) + ")";
}

}  // namespace kl
