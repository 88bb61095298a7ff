// An entry of the feature cache's disk tier: as it comes, and under a checksum that is right, so that the fields behind it are reached.
#include <cstring>
#include <vector>

#include "core/hash.h"
#include "fuzz/fuzz.h"
#include "vision/feature_file.h"

namespace {

void read(std::span<const std::byte> bytes, const kl::FeatureKey& key) {
  const kl::Result<kl::Features> features = kl::decode_features(bytes, key);
  if (!features.ok()) return;
  promise(kl::check_features(*features).ok());
  // What was read has one form, the one it came from.
  const kl::Result<std::vector<std::byte>> again = kl::encode_features(*features);
  promise(again.ok() && again->size() == bytes.size() && std::memcmp(again->data(), bytes.data(), bytes.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kKeyAt = 44;
  kl::FeatureKey key;
  if (size >= kKeyAt + key.bytes.size()) std::memcpy(key.bytes.data(), data + kKeyAt, key.bytes.size());
  const Exact input(std::span(data, size));
  read(input.span(), key);
  if (size < 16) return 0;
  std::byte* bytes = input.bytes.get();
  const kl::Hash128 sum = kl::hash128(input.span().first(size - 16));
  std::memcpy(bytes + size - 16, &sum.low, sizeof sum.low);
  std::memcpy(bytes + size - 8, &sum.high, sizeof sum.high);
  read(input.span(), key);
  return 0;
}
