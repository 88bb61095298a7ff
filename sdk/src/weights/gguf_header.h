// The header of one GGUF file: everything before the tensor data. Internal to weights/.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/reader.h"
#include "core/status.h"
#include "weights/gguf.h"

namespace kl {

struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = kGgufDefaultAlignment;
  uint64_t data_start = 0;  // where tensor offsets count from
  Metadata metadata;
  std::vector<TensorInfo> tensors;  // in file order; file = 0, offset from the start of the file
};

// Reads and checks a header whose bytes begin at `reader`'s position. Strings view the reader's bytes.
Result<GgufHeader> read_gguf_header(Reader& reader, MemoryBudget& budget);

// Steps of it, one file each.
Status read_gguf_metadata(Reader& reader, uint64_t count, MemoryBudget& budget, Metadata& out);
// Tensor offsets are made absolute; `out` is checked against the file's length: alignment, inside, no overlap, no hole (R4, R16).
Status read_gguf_tensors(Reader& reader, uint64_t count, MemoryBudget& budget, GgufHeader& out);

// Keys and tensor names: printable ASCII, so they can be shown, compared and written down.
Status check_gguf_name(const Reader& reader, const char* field, std::string_view text);

}  // namespace kl
