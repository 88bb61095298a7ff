// Atomic writing and its leftovers (R20). Readers of the final name see the old file or the whole new one, whatever call fails and
// wherever the process is killed; what can remain is a temporary, which remove_stale_temporaries() takes away.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <utility>

#include "core/file.h"
#include "core/quote.h"

namespace kl {
namespace {

constexpr std::string_view kMark = ".kl-tmp-";  // <name>.kl-tmp-<process>-<number>
std::atomic<uint32_t> next_number{0};

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  if (!is_plain_file_name(file_name_of(path)))
    return error(Code::invalid_argument, "expected a file path, got %s", quoted(path, 400).c_str());
  constexpr int kMaxTries = 100;
  AtomicFile file;
  file.path_ = path;
  for (int i = 0; i < kMaxTries; ++i) {  // a name can be taken: left by a dead process that had our id
    file.temporary_ = path + std::string(kMark) + format("%u-%u", process_id(), next_number.fetch_add(1, std::memory_order_relaxed));
    file.fd_ = retry_interrupted([&] { return os().open_new(file.temporary_.c_str()); });
    if (file.fd_ != -EEXIST) break;
  }
  if (file.fd_ < 0) {
    const int reason = std::exchange(file.fd_, -1);
    file.temporary_.clear();  // not ours to remove
    return file.failed("create", reason);
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      written_(other.written_) {}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd_ >= 0) (void)os().close(std::exchange(fd_, -1));
  if (!temporary_.empty()) (void)os().unlink(std::exchange(temporary_, {}).c_str());
}

Status AtomicFile::failed(const char* what, int64_t negative_errno) {
  Status status =
      error(Code::io_error, "cannot %s %s: %s", what, quoted(path_, 400).c_str(), errno_text(static_cast<int>(negative_errno)).c_str());
  discard();
  return status;
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (fd_ < 0) return error(Code::closed, "%s: write after commit or an error", quoted(path_, 400).c_str());
  constexpr size_t kMaxWrite = size_t{1} << 30;
  while (!bytes.empty()) {
    const size_t ask = std::min(bytes.size(), kMaxWrite);
    const int64_t got = retry_interrupted([&] { return os().write(fd_, bytes.data(), ask); });
    if (got <= 0) return failed("write", got < 0 ? got : -EIO);  // a write of nothing is no progress
    const size_t done = std::min(static_cast<size_t>(got), ask);
    written_ += done;
    bytes = bytes.subspan(done);
  }
  return {};
}

Status AtomicFile::commit() {
  if (fd_ < 0) return error(Code::closed, "%s: commit after commit or an error", quoted(path_, 400).c_str());
  if (const int result = retry_interrupted([&] { return os().sync(fd_); }); result < 0) return failed("sync", result);
  // Some file systems report a failed write only here (NFS, quotas); EINTR too means closed on Linux and must not be repeated.
  if (const int result = os().close(std::exchange(fd_, -1)); result < 0 && result != kOsInterrupted) return failed("close", result);
  if (const int result = retry_interrupted([&] { return os().rename(temporary_.c_str(), path_.c_str()); }); result < 0) {
    return failed("rename to", result);
  }
  temporary_.clear();
  // The file is in place. Whether its name survives a power cut depends on the folder; a system that cannot sync folders keeps its own promise.
  const std::string folder = folder_of(path_);
  if (const int fd = retry_interrupted([&] { return os().open_folder(folder.c_str()); }); fd >= 0) {
    (void)retry_interrupted([&] { return os().sync(fd); });
    (void)os().close(fd);
  }
  return {};
}

Status write_file(const std::string& path, std::span<const std::byte> bytes) {
  KL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KL_TRY(file.write(bytes));
  return file.commit();
}

bool is_temporary_name(std::string_view name) {
  const size_t mark = name.rfind(kMark);
  return mark != std::string_view::npos && mark > 0 && mark + kMark.size() < name.size() &&
         name.find_first_not_of("0123456789-", mark + kMark.size()) == std::string_view::npos;
}

namespace {

// Of a temporary's name. What does not fit 32 bits is no process of ours: 0, which never runs.
uint32_t process_of(std::string_view temporary) {
  uint32_t id = 0;
  const std::string_view digits = temporary.substr(temporary.rfind(kMark) + kMark.size());
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), id);
  return id;
}

}  // namespace

Result<size_t> remove_stale_temporaries(const std::string& folder, int64_t modified_before_ns) {
  KL_ASSIGN(const std::vector<std::string> names, list_folder(folder));
  size_t removed = 0;
  for (const std::string& name : names) {
    if (!is_temporary_name(name)) continue;
    std::string path = folder;
    path.append("/").append(name);
    const int fd = retry_interrupted([&] { return os().open_read(path.c_str()); });
    if (fd < 0) continue;
    OsFileStat stat;
    const int known = os().stat(fd, &stat);
    (void)os().close(fd);
    const bool stale = stat.modified_ns < modified_before_ns || !process_runs(process_of(name));
    if (known >= 0 && stat.regular && stale && remove_file(path).ok()) ++removed;
  }
  return removed;
}

}  // namespace kl
