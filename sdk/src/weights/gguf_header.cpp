// magic "GGUF" | version u32 | tensor count u64 | metadata count u64 | metadata | tensor table | padding to the alignment | tensor data
#include "weights/gguf_header.h"

#include <algorithm>
#include <bit>

#include "core/quote.h"

namespace kl {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
// key length 8, key 1, type 4, value 1
constexpr uint64_t kMinEntryBytes = 14;
// name length 8, name 1, rank 4, one dimension 8, type 4, offset 8
constexpr uint64_t kMinTensorBytes = 33;

Result<uint32_t> read_version(Reader& reader) {
  KL_ASSIGN(const uint32_t magic, reader.u32("magic"));
  if (magic != kMagic) {
    const char bytes[] = {static_cast<char>(magic), static_cast<char>(magic >> 8), static_cast<char>(magic >> 16),
                          static_cast<char>(magic >> 24)};
    return reader.wrong("magic", 4, "\"GGUF\"", quoted({bytes, 4}) + " (not a GGUF file)");
  }
  KL_ASSIGN(const uint32_t version, reader.u32("version"));
  if (version == 2 || version == 3) return version;
  if ((version & 0xffffu) == 0 && version != 0) {
    return error(Code::unsupported, "byte 4, version: expected 2 or 3 in little-endian order, got 0x%08x: this is a big-endian GGUF file",
                 version);
  }
  return error(Code::unsupported, "byte 4, version: expected 2 or 3, got %s", with_commas(version).c_str());
}

Result<uint64_t> alignment_of(const Metadata& metadata) {
  static constexpr std::string_view kKey = "general.alignment";
  const std::optional<MetaType> type = metadata.type_of(kKey);
  if (!type) return kGgufDefaultAlignment;
  if (*type != MetaType::u32) return error(Code::corrupt, "metadata \"general.alignment\": expected u32, got %s", name(*type));
  KL_ASSIGN(const uint64_t alignment, metadata.need_uint(kKey, kGgufMinAlignment, kGgufMaxAlignment));
  if (!std::has_single_bit(alignment)) {
    return error(Code::corrupt, "metadata \"general.alignment\": expected a power of two, got %s", with_commas(alignment).c_str());
  }
  return alignment;
}

}  // namespace

Status check_gguf_name(const Reader& reader, const char* field, std::string_view text) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
  return printable ? Status() : reader.wrong(field, text.size(), "printable ASCII", quoted(text));
}

Result<GgufHeader> read_gguf_header(Reader& reader, MemoryBudget& budget) {
  GgufHeader header;
  KL_ASSIGN(header.version, read_version(reader));
  KL_ASSIGN(const uint64_t tensors, reader.count("tensor count", kMinTensorBytes));
  KL_ASSIGN(const uint64_t entries, reader.count("metadata count", kMinEntryBytes));
  KL_TRY(read_gguf_metadata(reader, entries, budget, header.metadata));
  KL_ASSIGN(header.alignment, alignment_of(header.metadata));
  KL_TRY(read_gguf_tensors(reader, tensors, budget, header));
  return header;
}

}  // namespace kl
