#include "core/file.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "core/checked.h"
#include "core/quote.h"

namespace kl {
namespace {

Status os_error(const char* what, const std::string& name, int64_t negative_errno) {
  const auto code = static_cast<int>(negative_errno);
  return error(code == -ENOENT || code == -ENOTDIR ? Code::not_found : Code::io_error, "cannot %s %s: %s", what, quoted(name, 400).c_str(),
               errno_text(code).c_str());
}

}  // namespace

void ByteSource::Free::operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{kBufferAlignment}); }

Result<std::shared_ptr<const ByteSource>> ByteSource::open(const std::string& path, Access access) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return error(Code::invalid_argument, "expected a file path, got %s", quoted(path).c_str());
  }
  // The object comes first: from the moment there is a descriptor it has an owner, whatever is thrown.
  const std::shared_ptr<ByteSource> source(new ByteSource);
  source->name_ = path;
  source->fd_ = retry_interrupted([&] { return os().open_read(path.c_str()); });
  if (source->fd_ < 0) return os_error("open", path, source->fd_);
  KL_TRY(source->load(access));
  return std::shared_ptr<const ByteSource>(source);
}

Result<std::shared_ptr<const ByteSource>> ByteSource::open_fd(int fd, Access access, std::string name) {
  if (fd < 0) return error(Code::invalid_argument, "expected an open file descriptor, got %d", fd);
  const std::shared_ptr<ByteSource> source(new ByteSource);
  source->name_ = std::move(name);
  source->fd_ = retry_interrupted([&] { return os().duplicate(fd); });
  if (source->fd_ < 0) return os_error("duplicate", source->name_, source->fd_);
  KL_TRY(source->load(access));
  return std::shared_ptr<const ByteSource>(source);
}

std::shared_ptr<const ByteSource> ByteSource::view(std::span<const std::byte> bytes, std::string name) {
  const std::shared_ptr<ByteSource> source(new ByteSource);
  source->name_ = std::move(name);
  source->bytes_ = bytes;
  return source;
}

Status ByteSource::load(Access access) {
  if (const int failed = retry_interrupted([&] { return os().stat(fd_, &opened_); }); failed < 0) return os_error("examine", name_, failed);
  if (!opened_.regular) {
    return error(Code::invalid_argument, "%s is %s; expected a regular file", quoted(name_, 400).c_str(),
                 opened_.folder ? "a folder" : "a pipe or device");
  }
  const std::optional<size_t> size = checked_cast<size_t>(opened_.size);
  if (!size) {
    return error(Code::unsupported, "%s has %s bytes, more than this process can address", quoted(name_, 400).c_str(),
                 with_commas(opened_.size).c_str());
  }
  if (*size == 0) return {};
  if (access == Access::read) return read_all(*size);
  void* address = nullptr;
  if (const int failed = retry_interrupted([&] { return os().map(fd_, *size, &address); }); failed < 0)
    return os_error("map", name_, failed);
  mapped_ = true;
  bytes_ = {static_cast<const std::byte*>(address), *size};
  return {};
}

Status ByteSource::read_all(size_t size) {
  owned_.reset(static_cast<std::byte*>(::operator new (size, std::align_val_t{kBufferAlignment}, std::nothrow)));
  if (!owned_) return error(Code::out_of_memory, "no memory for the %s bytes of %s", with_commas(size).c_str(), quoted(name_, 400).c_str());
  KL_TRY(read_range(0, {owned_.get(), size}));
  bytes_ = {owned_.get(), size};
  return check();  // a file that changed while it was read is neither the old nor the new one
}

ByteSource::~ByteSource() {
  if (mapped_) (void)os().unmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  if (fd_ >= 0) (void)os().close(fd_);
}

Status ByteSource::check() const {
  if (fd_ < 0) return {};
  OsFileStat now;
  if (const int failed = retry_interrupted([&] { return os().stat(fd_, &now); }); failed < 0) return os_error("examine", name_, failed);
  if (now.size != opened_.size) {
    return error(Code::io_error, "%s had %s bytes when it was opened and has %s now", quoted(name_, 400).c_str(),
                 with_commas(opened_.size).c_str(), with_commas(now.size).c_str());
  }
  if (now.modified_ns != opened_.modified_ns) {
    return error(Code::io_error, "%s was written to since it was opened", quoted(name_, 400).c_str());
  }
  return {};
}

Status ByteSource::read_range(uint64_t offset, std::span<std::byte> out) const {
  constexpr size_t kMaxRead = size_t{1} << 30;  // Linux reads at most 2 GiB - 4 KiB in a call, macOS refuses more than 2 GiB
  size_t done = 0;
  while (done < out.size()) {
    const size_t ask = std::min(out.size() - done, kMaxRead);
    const int64_t got = retry_interrupted([&] { return os().pread(fd_, out.data() + done, ask, offset + done); });
    if (got < 0) return os_error("read", name_, got);
    if (got == 0) {
      return error(Code::io_error, "%s ends at byte %s; expected %s bytes from byte %s", quoted(name_, 400).c_str(),
                   with_commas(offset + done).c_str(), with_commas(out.size()).c_str(), with_commas(offset).c_str());
    }
    done += std::min(static_cast<size_t>(got), ask);
  }
  return {};
}

Status ByteSource::copy(uint64_t offset, std::span<std::byte> out) const {
  const uint64_t size = fd_ >= 0 ? opened_.size : bytes_.size();
  if (!range_fits(offset, out.size(), size)) {
    return error(Code::invalid_argument, "%s: expected a range inside its %s bytes, got %s bytes from byte %s", quoted(name_, 400).c_str(),
                 with_commas(size).c_str(), with_commas(out.size()).c_str(), with_commas(offset).c_str());
  }
  if (mapped_) return read_range(offset, out);
  std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  return {};
}

void ByteSource::release(uint64_t offset, uint64_t size) const {
  if (mapped_ && range_fits(offset, size, bytes_.size())) (void)advise_memory(bytes_.subspan(offset, size), OsAdvice::dont_need);
}

void ByteSource::prefetch(uint64_t offset, uint64_t size) const {
  if (mapped_ && range_fits(offset, size, bytes_.size())) (void)advise_memory(bytes_.subspan(offset, size), OsAdvice::will_need);
}

void ByteSource::read_in_order() const {
  if (mapped_) (void)advise_memory(bytes_, OsAdvice::sequential);
}

bool advise_memory(std::span<const std::byte> memory, OsAdvice advice) {
  const uintptr_t page = page_bytes();
  auto first = reinterpret_cast<uintptr_t>(memory.data());
  uintptr_t last = first + memory.size();
  if (advice == OsAdvice::dont_need) {
    first = round_up(first, page);
    last -= last % page;
  } else {
    first -= first % page;
    last = round_up(last, page);
  }
  if (first >= last) return true;
  return os().advise(reinterpret_cast<void*>(first), last - first, advice) >= 0;
}

Status make_folder(const std::string& path) {
  const int result = retry_interrupted([&] { return os().make_folder(path.c_str()); });
  return result < 0 && result != -EEXIST ? os_error("make the folder", path, result) : Status();
}

Status remove_file(const std::string& path) {
  const int result = retry_interrupted([&] { return os().unlink(path.c_str()); });
  return result < 0 ? os_error("remove", path, result) : Status();
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  std::vector<std::string> names;
  const auto visit = [](void* context, const char* name) { static_cast<std::vector<std::string>*>(context)->emplace_back(name); };
  if (const int result = retry_interrupted([&] {
        names.clear();
        return os().list(path.c_str(), visit, &names);
      });
      result < 0) {
    return os_error("list", path, result);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string file_name_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0:", 4)) == std::string_view::npos;
}

}  // namespace kl
