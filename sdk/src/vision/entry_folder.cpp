#include "vision/entry_folder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/file.h"
#include "core/os.h"
#include "core/quote.h"
#include "vision/feature_key.h"

namespace kl {
namespace {

constexpr uint64_t kWritesPerLook = 64;
constexpr int64_t kStaleNs = int64_t{3600} * 1'000'000'000;  // no writer works an hour on an entry

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Status os_error(const char* what, const std::string& path, int64_t negative_errno) {
  return error(negative_errno == -ENOENT ? Code::not_found : Code::io_error, "cannot %s %s: %s", what, quoted(path, 400).c_str(),
               errno_text(static_cast<int>(negative_errno)).c_str());
}

// A file of the folder, open for reading; never what a link points to.
class Entry {
 public:
  explicit Entry(const std::string& path) : fd_(retry_interrupted([&] { return os().open_entry(path.c_str()); })) {}
  ~Entry() {
    if (fd_ >= 0) (void)os().close(fd_);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  int fd() const { return fd_; }  // negative: why not
  int stat(OsFileStat* out) const {
    return retry_interrupted([&] { return os().stat(fd_, out); });
  }
  // Negative errno; the bytes that were there when the file ends early.
  int64_t read(std::span<std::byte> out) const {
    size_t done = 0;
    while (done < out.size()) {
      const int64_t got = retry_interrupted([&] { return os().pread(fd_, out.data() + done, out.size() - done, done); });
      if (got < 0) return got;
      if (got == 0) break;
      done += std::min(static_cast<size_t>(got), out.size() - done);
    }
    return static_cast<int64_t>(done);
  }

 private:
  int fd_;
};

}  // namespace

size_t FeatureKeyHash::operator()(const FeatureKey& key) const {
  size_t hash = 0;
  std::memcpy(&hash, key.bytes.data(), sizeof hash);  // the bytes are a hash already
  return hash;
}

Result<std::unique_ptr<EntryFolder>> EntryFolder::open(std::string folder, Budget budget) {
  KL_TRY(make_folder(folder));
  std::unique_ptr<EntryFolder> opened(new EntryFolder(std::move(folder), budget));
  (void)remove_stale_temporaries(opened->folder_, now_ns() - kStaleNs);  // what stays is taken away next time
  KL_TRY(opened->look());
  opened->evict_until(0, 0);
  return opened;
}

std::string EntryFolder::path_of(const FeatureKey& key) const { return folder_ + "/" + key.hex(); }

Status EntryFolder::look() {
  KL_ASSIGN(const std::vector<std::string> names, list_folder(folder_));
  std::unordered_map<FeatureKey, Known, FeatureKeyHash> seen;
  uint64_t bytes = 0;
  for (const std::string& name : names) {
    const std::optional<FeatureKey> key = key_from_hex(name);
    if (!key) continue;
    const Entry entry(folder_ + "/" + name);
    if (entry.fd() == -ENOENT || entry.fd() == -ELOOP) continue;
    OsFileStat stat;
    if (entry.fd() < 0 || entry.stat(&stat) < 0) {
      seen[*key] = {};  // an entry of unknown size: what is known of it below, else it is the first to go
    } else if (stat.regular) {
      seen[*key] = {stat.size, stat.modified_ns};
    }
  }
  const std::lock_guard lock(mutex_);
  for (auto& [key, known] : seen) {
    if (const auto before = index_.find(key); before != index_.end()) {
      if (known.used_ns == 0) known = before->second;
      known.used_ns = std::max(known.used_ns, before->second.used_ns);  // our memory of a use is finer than the file system's clock
    }
    bytes += known.bytes;
  }
  index_ = std::move(seen);
  bytes_ = bytes;
  return {};
}

Result<std::vector<std::byte>> EntryFolder::read(const FeatureKey& key) {
  const std::string path = path_of(key);
  const Entry entry(path);
  if (entry.fd() < 0) {
    if (entry.fd() == -ENOENT) forget(key);
    return os_error("open", path, entry.fd());
  }
  OsFileStat stat;
  if (const int failed = entry.stat(&stat); failed < 0) return os_error("examine", path, failed);
  if (!stat.regular || stat.size > budget_.bytes) {
    return error(Code::corrupt, "%s: expected a file of at most %s bytes", quoted(path, 400).c_str(), with_commas(budget_.bytes).c_str());
  }
  std::vector<std::byte> bytes(static_cast<size_t>(stat.size));
  const int64_t got = entry.read(bytes);
  if (got < 0) return os_error("read", path, got);
  bytes.resize(static_cast<size_t>(got));  // a file cut short meanwhile: its format will say so
  (void)os().touch(entry.fd());            // a folder that may only be read still serves
  renew(key);
  return bytes;
}

Status EntryFolder::write(const FeatureKey& key, std::span<const std::byte> bytes) {
  const std::lock_guard writing(writing_);
  KL_TRY(make_room(bytes.size()));
  KL_ASSIGN(AtomicFile file, AtomicFile::create(path_of(key)));
  KL_TRY(file.write(bytes));
  KL_TRY(file.commit());
  note(key, bytes.size());
  return {};
}

Status EntryFolder::remove(const FeatureKey& key) {
  Status removed = remove_file(path_of(key));
  if (!removed.ok() && removed.code() != Code::not_found) return removed;
  forget(key);
  return {};
}

Status EntryFolder::clear() {
  const std::lock_guard writing(writing_);
  Status first = look();  // of the others' entries too
  std::vector<FeatureKey> keys;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, known] : index_) keys.push_back(key);
  }
  for (const FeatureKey& key : keys) {
    if (Status removed = remove(key); !removed.ok() && first.ok()) first = std::move(removed);
  }
  (void)remove_stale_temporaries(folder_, now_ns() - kStaleNs);
  return first;
}

bool EntryFolder::has_room(uint64_t bytes, uint64_t entries) const {
  return bytes_ <= budget_.bytes - bytes && index_.size() <= budget_.entries - entries;
}

Status EntryFolder::make_room(uint64_t bytes) {
  if (bytes > budget_.bytes || budget_.entries == 0) {
    return error(Code::out_of_memory, "an entry of %s bytes is larger than the folder's budget of %s", with_commas(bytes).c_str(),
                 with_commas(budget_.bytes).c_str());
  }
  bool look_again = ++writes_ % kWritesPerLook == 0;
  {
    const std::lock_guard lock(mutex_);
    look_again = look_again || look_at_write_ || !has_room(bytes, 1);
    look_at_write_ = false;
  }
  if (!look_again) return {};
  KL_TRY(look());
  evict_until(bytes, 1);
  const std::lock_guard lock(mutex_);
  if (has_room(bytes, 1)) return {};
  return error(Code::io_error, "%s: no entry could be removed to make room", quoted(folder_, 400).c_str());
}

void EntryFolder::evict_until(uint64_t bytes, uint64_t entries) {
  std::vector<std::pair<int64_t, FeatureKey>> oldest_first;
  {
    const std::lock_guard lock(mutex_);
    if (has_room(bytes, entries)) return;
    for (const auto& [key, known] : index_) oldest_first.emplace_back(known.used_ns, key);
  }
  std::sort(oldest_first.begin(), oldest_first.end());
  for (const auto& [used, key] : oldest_first) {
    const bool removed = remove(key).ok();
    const std::lock_guard lock(mutex_);
    evictions_ += removed ? 1 : 0;
    if (has_room(bytes, entries)) return;
  }
}

void EntryFolder::note(const FeatureKey& key, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Known& known = index_[key];
  bytes_ += bytes - known.bytes;
  known = {bytes, now_ns()};
}

// Used now. An entry that is not known was written by another process, or removed by this one since it was opened: the next write looks.
void EntryFolder::renew(const FeatureKey& key) {
  const std::lock_guard lock(mutex_);
  if (const auto known = index_.find(key); known != index_.end()) {
    known->second.used_ns = now_ns();
  } else {
    look_at_write_ = true;
  }
}

void EntryFolder::forget(const FeatureKey& key) {
  const std::lock_guard lock(mutex_);
  const auto known = index_.find(key);
  if (known == index_.end()) return;
  bytes_ -= known->second.bytes;
  index_.erase(known);
}

bool EntryFolder::contains(const FeatureKey& key) const {
  const std::lock_guard lock(mutex_);
  return index_.contains(key);
}
uint64_t EntryFolder::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}
uint64_t EntryFolder::entries() const {
  const std::lock_guard lock(mutex_);
  return index_.size();
}
uint64_t EntryFolder::evictions() const {
  const std::lock_guard lock(mutex_);
  return evictions_;
}

}  // namespace kl
