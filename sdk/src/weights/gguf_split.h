// Models split over several files, "<stem>-00001-of-00003.gguf". Internal to weights/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/status.h"
#include "weights/gguf.h"

namespace kl {

// What a part says of itself: split.no (from 0), split.count, split.tensors.count (of all parts).
struct GgufSplit {
  uint32_t number = 0;
  uint32_t count = 1;  // 1: not split
  std::optional<uint64_t> tensor_count;
};
Result<GgufSplit> read_gguf_split(const Metadata& metadata);

// Path of part `number` (from 0), made from the path of part 0 and nothing that stands in a file (R17).
// Error invalid_argument: the name of part 0 is not "<stem>-00001-of-<count>.gguf".
Result<std::string> gguf_part_path(const std::string& first_path, uint32_t number, uint32_t count);

}  // namespace kl
