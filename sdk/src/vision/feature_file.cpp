#include "vision/feature_file.h"

#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/hash.h"
#include "core/reader.h"

namespace kl {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are written as they lie in memory");

constexpr char kMagic[8] = {'K', 'L', 'F', 'E', 'A', 'T', 'U', 'R'};
constexpr uint64_t kHeaderBytes = 76, kBlockBytes = 12, kPlaceBytes = 4, kChecksumBytes = 16;

template <class T>
void append(std::vector<std::byte>& out, const T* from, size_t n) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(from, n));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::array<uint64_t, 2> checksum(std::span<const std::byte> bytes) {
  const Hash128 hash = hash128(bytes);
  return {hash.low, hash.high};
}

}  // namespace

uint64_t feature_file_bytes(const Features& f) {
  return kHeaderBytes + f.blocks.size() * kBlockBytes + f.places.size() * kPlaceBytes + f.values.size() * sizeof(float) + kChecksumBytes;
}

Result<std::vector<std::byte>> encode_features(const Features& f) {
  KL_TRY(check_features(f));
  std::vector<std::byte> out;
  out.reserve(feature_file_bytes(f));
  append(out, kMagic, sizeof kMagic);
  // Blocks and places are at most as many as rows.
  const uint32_t numbers[] = {kFeatureFileVersion,
                              f.rows,
                              f.width,
                              static_cast<uint32_t>(f.blocks.size()),
                              static_cast<uint32_t>(f.places.size()),
                              f.grid_rows,
                              f.grid_columns,
                              f.picture_width,
                              f.picture_height};
  append(out, numbers, std::size(numbers));
  append(out, f.key.bytes.data(), f.key.bytes.size());
  for (const FeatureBlock& b : f.blocks) {
    const uint32_t block[] = {b.rows, b.height, b.width};
    append(out, block, std::size(block));
  }
  append(out, f.places.data(), f.places.size());
  append(out, f.values.data(), f.values.size());
  const std::array<uint64_t, 2> sum = checksum(out);
  append(out, sum.data(), sum.size());
  return out;
}

Result<Features> decode_features(std::span<const std::byte> bytes, const FeatureKey& key) {
  if (bytes.size() < kHeaderBytes + kChecksumBytes) {
    return error(Code::corrupt, "features: expected at least %zu bytes, got %zu", size_t{kHeaderBytes + kChecksumBytes}, bytes.size());
  }
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return error(Code::corrupt, "features: expected \"KLFEATUR\" first");
  const std::span<const std::byte> content = bytes.first(bytes.size() - kChecksumBytes);
  Reader reader(content);
  (void)reader.take("magic", sizeof kMagic, 1);
  KL_ASSIGN(const uint32_t version, reader.u32("version"));
  if (version != kFeatureFileVersion) return error(Code::unsupported, "features: expected format version 1, got %u", version);
  const std::array<uint64_t, 2> sum = checksum(content);
  if (std::memcmp(sum.data(), bytes.data() + content.size(), kChecksumBytes) != 0) {
    return error(Code::corrupt, "features: the checksum does not match");
  }
  Features f;
  KL_ASSIGN(f.rows, reader.u32("rows"));
  KL_ASSIGN(f.width, reader.u32("width"));
  KL_ASSIGN(const uint32_t blocks, reader.u32("blocks"));
  KL_ASSIGN(const uint32_t places, reader.u32("places"));
  KL_ASSIGN(f.grid_rows, reader.u32("grid rows"));
  KL_ASSIGN(f.grid_columns, reader.u32("grid columns"));
  KL_ASSIGN(f.picture_width, reader.u32("picture width"));
  KL_ASSIGN(f.picture_height, reader.u32("picture height"));
  KL_ASSIGN(const std::span<const std::byte> stored_key, reader.take("key", key.bytes.size(), 1));
  if (std::memcmp(stored_key.data(), key.bytes.data(), stored_key.size()) != 0) {
    return error(Code::corrupt, "features: they belong to another key");
  }
  f.key = key;
  KL_ASSIGN(const std::span<const std::byte> block_bytes, reader.take("blocks", blocks, kBlockBytes));
  KL_ASSIGN(const std::span<const std::byte> place_bytes, reader.take("places", places, kPlaceBytes));
  const std::optional<uint64_t> values = checked_mul<uint64_t>(f.rows, f.width);
  if (!values || checked_mul<uint64_t>(*values, sizeof(float)) != reader.remaining()) {
    return error(Code::corrupt, "features: %s bytes of values are not %u rows of %u", with_commas(reader.remaining()).c_str(), f.rows,
                 f.width);
  }
  KL_ASSIGN(const std::span<const std::byte> value_bytes, reader.take("values", *values, sizeof(float)));
  f.blocks.resize(blocks);
  for (size_t i = 0; i < blocks; ++i) {
    const std::byte* at = block_bytes.data() + i * kBlockBytes;
    f.blocks[i] = {load_le<uint32_t>(at), load_le<uint32_t>(at + 4), load_le<uint32_t>(at + 8)};
  }
  f.places.resize(places);
  if (places > 0) std::memcpy(f.places.data(), place_bytes.data(), place_bytes.size());
  f.values.resize(*values);
  if (*values > 0) std::memcpy(f.values.data(), value_bytes.data(), value_bytes.size());
  KL_TRY(check_features(f));
  return f;
}

}  // namespace kl
