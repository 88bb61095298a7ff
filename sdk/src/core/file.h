// Files. Reading: one immutable run of bytes whatever it came from. Writing: only whole files that appear at once or not at all (R20).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/os.h"
#include "core/status.h"

namespace kl {

// The bytes of a file (mapped or read) or of a buffer. Immutable and safe to share between threads.
// A mapped file that another process cuts short gives a bus error at the next access to the lost pages; check() before a long access makes
// that an error value in all but a race, and FileAccess::read removes even that.
class ByteSource {
 public:
  enum class Access : uint8_t { map, read };

  // Errors: not_found, io_error (naming the system's reason), out_of_memory, invalid_argument (not a regular file).
  static Result<std::shared_ptr<const ByteSource>> open(const std::string& path, Access access);
  // The descriptor is duplicated; its position is neither used nor moved.
  static Result<std::shared_ptr<const ByteSource>> open_fd(int fd, Access access, std::string name = "<descriptor>");
  // The buffer must stay alive and unchanged as long as the source lives.
  static std::shared_ptr<const ByteSource> view(std::span<const std::byte> bytes, std::string name = "<memory>");

  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& name() const { return name_; }  // for messages
  bool is_mapped() const { return mapped_; }
  bool is_file() const { return fd_ >= 0; }
  int64_t modified_ns() const { return opened_.modified_ns; }  // 0 for a buffer

  // Error io_error: the file's length or modification time is no longer what it was at open (R28). A buffer is always ok.
  Status check() const;
  // Copies [offset, offset + out.size()) without touching the mapping: no access fault whatever happens to the file.
  Status copy(uint64_t offset, std::span<std::byte> out) const;
  // Hints, without effect on buffers; a range outside the source is ignored.
  void release(uint64_t offset, uint64_t size) const;  // whole pages inside the range leave memory until they are touched again
  void prefetch(uint64_t offset, uint64_t size) const;
  void read_in_order() const;

 private:
  ByteSource() = default;
  Status load(Access access);  // maps or reads fd_
  Status read_all(size_t size);
  Status read_range(uint64_t offset, std::span<std::byte> out) const;

  std::string name_;
  int fd_ = -1;
  bool mapped_ = false;
  OsFileStat opened_;
  std::span<const std::byte> bytes_;
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> owned_;  // Access::read; kBufferAlignment
};

inline constexpr size_t kBufferAlignment = 64;  // of what Access::read allocates: a cache line, and any vector load

// Passes a hint about memory of any kind (a mapping, an arena). dont_need shrinks the range to whole pages, the others widen it.
// Returns false when the system refused; never changes what the memory holds, so: dont_need only on read-only file mappings.
bool advise_memory(std::span<const std::byte> memory, OsAdvice advice);

// Writes a file that other readers see complete or not at all: a temporary name in the same folder, fsync, rename, fsync of the folder.
// Not thread-safe; two writers of one path do not disturb each other, the last commit wins. Without commit() nothing is left behind.
class AtomicFile {
 public:
  // Errors: io_error, naming the system's reason ("No space left on device (28)"), here and below.
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);  // appends
  uint64_t written() const { return written_; }
  // After an error from any of these calls the file at `path` is as it was before, and the object is only good for destruction.
  Status commit();

 private:
  AtomicFile() = default;
  Status failed(const char* what, int64_t negative_errno);
  void discard();

  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t written_ = 0;
};

Status write_file(const std::string& path, std::span<const std::byte> bytes);  // create, write, commit

// Removes what writers that were killed left in a folder: a temporary whose process no longer runs, or that is older than any live writer's can
// be (a modification time in ns since 1970). Should that be wrong (a process that this one cannot see), a writer fails to commit and nothing
// else happens. Returns how many were removed.
Result<size_t> remove_stale_temporaries(const std::string& folder, int64_t modified_before_ns);
bool is_temporary_name(std::string_view name);

Status make_folder(const std::string& path);                            // one level; no error when it is there
Status remove_file(const std::string& path);                            // not_found when it is not there
Result<std::vector<std::string>> list_folder(const std::string& path);  // names, sorted

// "/models/x.gguf" -> "/models" and "x.gguf"; a bare name is in ".".
std::string folder_of(const std::string& path);
std::string file_name_of(const std::string& path);
// One relative path part that stays in its folder: not empty, no separators, no NUL, not "." or ".." (R17).
bool is_plain_file_name(std::string_view name);

}  // namespace kl
