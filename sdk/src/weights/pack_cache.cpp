#include "weights/pack_cache.h"

#include <cstring>
#include <vector>

#include "core/checked.h"
#include "core/hash.h"

namespace kl {
namespace {

constexpr char kMagic[8] = {'K', 'L', 'P', 'A', 'C', 'K', '0', '1'};

struct Header {
  char magic[8];
  uint64_t payload_offset, payload_bytes;
  uint64_t payload_hash_low, payload_hash_high;
  uint64_t key_length;
  uint64_t header_hash;
};
static_assert(sizeof(Header) == 56);
static_assert(std::endian::native == std::endian::little, "the file's numbers are written as they lie in memory");

uint64_t header_hash(const Header& header, const std::string& key) {
  return hash64(key, hash64(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, header_hash))));
}

Header make_header(const std::string& key, std::span<const std::byte> payload) {
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof kMagic);
  h.payload_offset = round_up(sizeof(Header) + key.size(), kPackCacheAlignment);
  h.payload_bytes = payload.size();
  const Hash128 hash = hash128(payload);
  h.payload_hash_low = hash.low;
  h.payload_hash_high = hash.high;
  h.key_length = key.size();
  h.header_hash = header_hash(h, key);
  return h;
}

}  // namespace

std::string pack_cache_path(const std::string& folder, const std::string& key) {
  return folder + "/" + hash128(std::as_bytes(std::span(key))).hex() + ".klpack";
}

Result<PackCacheHit> open_pack_cache(const std::string& path, const std::string& key, uint64_t payload_bytes) {
  KL_ASSIGN(std::shared_ptr<const ByteSource> file, ByteSource::open(path, ByteSource::Access::map));
  const std::span<const std::byte> bytes = file->bytes();
  Header h{};
  if (bytes.size() < sizeof h)
    return error(Code::corrupt, "pack cache %s is %zu bytes, shorter than its header", path.c_str(), bytes.size());
  std::memcpy(&h, bytes.data(), sizeof h);
  if (std::memcmp(h.magic, kMagic, sizeof kMagic) != 0) return error(Code::unsupported, "pack cache %s has another version", path.c_str());
  if (h.key_length != key.size() || !range_fits(sizeof h, h.key_length, bytes.size()) ||
      std::memcmp(bytes.data() + sizeof h, key.data(), key.size()) != 0 || h.header_hash != header_hash(h, key)) {
    return error(Code::corrupt, "pack cache %s belongs to another model or its header is damaged", path.c_str());
  }
  if (h.payload_bytes != payload_bytes || h.payload_offset % kPackCacheAlignment != 0 || h.payload_offset < sizeof h + h.key_length ||
      !range_fits(h.payload_offset, h.payload_bytes, bytes.size())) {
    return error(Code::corrupt, "pack cache %s has %zu bytes, too few for its payload", path.c_str(), bytes.size());
  }
  const std::span<const std::byte> payload = bytes.subspan(h.payload_offset, h.payload_bytes);
  (void)advise_memory(payload, OsAdvice::huge_pages);  // the system then reads ahead in huge pages where the file system can
  file->prefetch(h.payload_offset, h.payload_bytes);
  if (hash128(payload) != Hash128{h.payload_hash_low, h.payload_hash_high}) {
    return error(Code::corrupt, "pack cache %s does not match its checksum", path.c_str());
  }
  return PackCacheHit{std::move(file), payload};
}

Status write_pack_cache(const std::string& path, const std::string& key, std::span<const std::byte> payload) {
  const Header h = make_header(key, payload);
  KL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KL_TRY(file.write(std::as_bytes(std::span(&h, 1))));
  KL_TRY(file.write(std::as_bytes(std::span(key))));
  const std::vector<std::byte> gap(h.payload_offset - sizeof h - key.size());
  KL_TRY(file.write(gap));
  KL_TRY(file.write(payload));
  return file.commit();
}

}  // namespace kl
