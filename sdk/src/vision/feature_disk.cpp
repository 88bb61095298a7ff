#include "vision/feature_disk.h"

#include <cstring>

#include "core/file.h"
#include "core/hash.h"
#include "core/reader.h"
#include "vision/feature_file.h"

namespace kl {
namespace {

constexpr char kSourceMagic[8] = {'K', 'L', 'S', 'O', 'U', 'R', 'C', 'E'};
constexpr uint32_t kSourceVersion = 1;
constexpr size_t kKeyBytes = sizeof(FeatureKey::bytes), kSourceAt = 12, kKeyAt = kSourceAt + kKeyBytes, kSumAt = kKeyAt + kKeyBytes;
using SourceEntry = std::array<std::byte, kSumAt + 16>;

SourceEntry encode_source(const FeatureKey& source, const FeatureKey& key) {
  SourceEntry entry{};
  std::memcpy(entry.data(), kSourceMagic, sizeof kSourceMagic);
  std::memcpy(entry.data() + sizeof kSourceMagic, &kSourceVersion, sizeof kSourceVersion);
  std::memcpy(entry.data() + kSourceAt, source.bytes.data(), kKeyBytes);
  std::memcpy(entry.data() + kKeyAt, key.bytes.data(), kKeyBytes);
  const Hash128 sum = hash128(std::span(entry).first(kSumAt));
  std::memcpy(entry.data() + kSumAt, &sum.low, sizeof sum.low);
  std::memcpy(entry.data() + kSumAt + sizeof sum.low, &sum.high, sizeof sum.high);
  return entry;
}

// An entry is right when writing it again gives the same bytes.
Result<FeatureKey> decode_source(std::span<const std::byte> bytes, const FeatureKey& source) {
  FeatureKey key;
  if (bytes.size() != SourceEntry().size()) {
    return error(Code::corrupt, "feature source: expected %zu bytes, got %zu", SourceEntry().size(), bytes.size());
  }
  std::memcpy(key.bytes.data(), bytes.data() + kKeyAt, kKeyBytes);
  if (std::memcmp(encode_source(source, key).data(), bytes.data(), bytes.size()) != 0) {
    return error(Code::corrupt, "feature source: another version, another source, or damaged");
  }
  return key;
}

}  // namespace

Result<std::unique_ptr<FeatureDisk>> FeatureDisk::open(const Options& options) {
  std::unique_ptr<FeatureDisk> disk(new FeatureDisk);
  KL_TRY(make_folder(options.folder));
  KL_ASSIGN(disk->features_, EntryFolder::open(options.folder + "/features", {options.bytes, UINT64_MAX}));
  KL_ASSIGN(disk->sources_,
            EntryFolder::open(options.folder + "/feature_sources", {uint64_t{options.sources} * SourceEntry().size(), options.sources}));
  return disk;
}

Status FeatureDisk::counted(Status status) {
  if (!status.ok()) errors_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

// What a read gave, with its error counted and a damaged entry deleted.
template <class T>
Result<T> FeatureDisk::judged(EntryFolder& folder, const FeatureKey& key, Result<T> read) {
  if (read.ok() || read.status().code() == Code::not_found) return read;
  if (read.status().code() == Code::corrupt) (void)folder.remove(key);
  return counted(read.status());
}

Result<Features> FeatureDisk::read(const FeatureKey& key) {
  const auto decoded = [&]() -> Result<Features> {
    KL_ASSIGN(const std::vector<std::byte> bytes, features_->read(key));
    return decode_features(bytes, key);
  };
  return judged<Features>(*features_, key, decoded());
}

Result<FeatureKey> FeatureDisk::read_source(const FeatureKey& source) {
  const auto decoded = [&]() -> Result<FeatureKey> {
    KL_ASSIGN(const std::vector<std::byte> bytes, sources_->read(source));
    return decode_source(bytes, source);
  };
  return judged<FeatureKey>(*sources_, source, decoded());
}

Status FeatureDisk::write(const Features& features) {
  const auto written = [&]() -> Status {
    KL_ASSIGN(const std::vector<std::byte> bytes, encode_features(features));
    const Status status = features_->write(features.key, bytes);
    return status.code() == Code::out_of_memory ? Status() : status;
  };
  return counted(written());
}

Status FeatureDisk::write_source(const FeatureKey& source, const FeatureKey& key) {
  const Status status = sources_->write(source, encode_source(source, key));
  return status.code() == Code::out_of_memory ? Status() : counted(status);
}

Status FeatureDisk::clear() {
  Status features = counted(features_->clear());
  Status sources = counted(sources_->clear());
  return features.ok() ? sources : features;
}

}  // namespace kl
