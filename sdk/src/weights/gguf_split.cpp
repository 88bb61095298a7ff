#include "weights/gguf_split.h"

#include "core/file.h"
#include "core/quote.h"

namespace kl {
namespace {

std::string suffix(uint32_t number, uint32_t count) { return format("-%05u-of-%05u.gguf", number + 1, count); }

}  // namespace

Result<GgufSplit> read_gguf_split(const Metadata& metadata) {
  GgufSplit split;
  KL_ASSIGN(const std::optional<uint64_t> count, metadata.find_uint("split.count", 0, kGgufMaxParts));
  if (!count || *count <= 1) return split;
  split.count = static_cast<uint32_t>(*count);
  KL_ASSIGN(const uint64_t number, metadata.need_uint("split.no", 0, *count - 1));
  split.number = static_cast<uint32_t>(number);
  KL_ASSIGN(split.tensor_count, metadata.find_uint("split.tensors.count", 0, INT32_MAX));
  return split;
}

Result<std::string> gguf_part_path(const std::string& first_path, uint32_t number, uint32_t count) {
  const std::string name = file_name_of(first_path);
  const std::string first = suffix(0, count);
  if (!is_plain_file_name(name) || name.size() <= first.size() || !name.ends_with(first)) {
    return error(Code::invalid_argument, "the first of %u parts: expected a name ending in %s, got %s", count, quoted(first).c_str(),
                 quoted(name).c_str());
  }
  return first_path.substr(0, first_path.size() - first.size()) + suffix(number, count);
}

}  // namespace kl
