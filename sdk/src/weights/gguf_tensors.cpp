// The tensor table. An entry: name string | rank u32 | dimensions u64 x rank, the contiguous one first | type u32 | offset u64.
#include <algorithm>
#include <numeric>

#include "core/quote.h"
#include "weights/gguf_header.h"

namespace kl {
namespace {

struct KnownType {
  uint32_t number;
  const char* name;
};
// What ggml writes and this build does not read, for the message.
constexpr KnownType kNotRead[] = {
    {9, "q8_1"},   {10, "q2_k"},  {11, "q3_k"},  {15, "q8_k"},   {16, "iq2_xxs"}, {17, "iq2_xs"}, {18, "iq3_xxs"},
    {19, "iq1_s"}, {21, "iq3_s"}, {22, "iq2_s"}, {23, "iq4_xs"}, {24, "i8"},      {25, "i16"},    {26, "i32"},
    {27, "i64"},   {28, "f64"},   {29, "iq1_m"}, {34, "tq1_0"},  {35, "tq2_0"},   {40, "nvfp4"},
};

Status unknown_type(uint32_t type) {
  const auto* known = std::find_if(std::begin(kNotRead), std::end(kNotRead), [&](const KnownType& t) { return t.number == type; });
  return error(Code::unsupported, "type %s (%s) is not one this build reads", with_commas(type).c_str(),
               known != std::end(kNotRead) ? known->name : "not known");
}

// Elements and bytes from the shape, every product checked (R2); rows are whole blocks.
Status size_tensor(TensorInfo& tensor) {
  uint64_t elements = 1;
  for (const uint64_t dim : tensor.dims) {
    const std::optional<uint64_t> product = checked_mul(elements, dim);
    if (!product) return error(Code::corrupt, "expected fewer than 2^64 values, got more");
    elements = *product;
  }
  const FormatInfo& format = info(tensor.format);
  if (tensor.dims[0] % format.block_elements != 0) {
    return error(Code::corrupt, "expected rows of a multiple of %u values (%s), got %s", format.block_elements, format.name,
                 with_commas(tensor.dims[0]).c_str());
  }
  const std::optional<uint64_t> bytes = checked_mul<uint64_t>(elements / format.block_elements, format.block_bytes);
  if (!bytes) return error(Code::corrupt, "expected fewer than 2^64 bytes, got more");
  tensor.bytes = *bytes;
  return {};
}

Status read_fields(Reader& reader, uint64_t alignment, TensorInfo& out) {
  KL_ASSIGN(out.rank, reader.number_in<uint32_t>("rank", 1, 4));
  for (uint32_t d = 0; d < out.rank; ++d) {
    KL_ASSIGN(out.dims[d], reader.number_in<uint64_t>("dimension", 1, UINT64_MAX));
  }
  KL_ASSIGN(const uint32_t type, reader.u32("type"));
  const std::optional<Format> format = format_from_ggml(type);
  if (!format) return unknown_type(type);
  out.format = *format;
  KL_TRY(size_tensor(out));
  KL_ASSIGN(out.offset, reader.u64("offset"));
  if (out.offset % alignment != 0) {
    return reader.wrong("offset", 8, "a multiple of the alignment " + with_commas(alignment), with_commas(out.offset));
  }
  return {};
}

Status read_tensor(Reader& reader, uint64_t alignment, TensorInfo& out) {
  KL_ASSIGN(out.name, reader.string("name", 1, kGgufMaxTensorNameBytes));
  KL_TRY(check_gguf_name(reader, "name", out.name));
  const Status status = read_fields(reader, alignment, out);
  return status.ok() ? status : status.at("tensor " + quoted(out.name));
}

Status out_of_file(const TensorInfo& tensor, uint64_t data_start, uint64_t file_bytes) {
  return error(Code::corrupt, "tensor %s: expected its %s bytes inside the file of %s, got offset %s in the data which starts at byte %s",
               quoted(tensor.name).c_str(), with_commas(tensor.bytes).c_str(), with_commas(file_bytes).c_str(),
               with_commas(tensor.offset).c_str(), with_commas(data_start).c_str());
}

// Turns offsets into file offsets and holds every tensor to its place (R4, R16).
Status place(GgufHeader& header, uint64_t file_bytes) {
  std::vector<uint32_t> by_offset(header.tensors.size());
  for (TensorInfo& tensor : header.tensors) {
    const std::optional<uint64_t> start = checked_add(header.data_start, tensor.offset);
    if (!start || !range_fits(*start, tensor.bytes, file_bytes)) return out_of_file(tensor, header.data_start, file_bytes);
    tensor.offset = *start;
  }
  std::iota(by_offset.begin(), by_offset.end(), 0u);
  std::sort(by_offset.begin(), by_offset.end(),
            [&](uint32_t a, uint32_t b) { return header.tensors[a].offset < header.tensors[b].offset; });
  uint64_t next = header.data_start;  // ggml writes tensors back to back, each padded to the alignment, and reads nothing else
  const TensorInfo* before = nullptr;
  for (const uint32_t i : by_offset) {
    const TensorInfo& tensor = header.tensors[i];
    if (tensor.offset != next) {
      const char* how = tensor.offset < next ? "overlaps" : "leaves a hole after";
      return error(Code::corrupt, "tensor %s at byte %s %s %s: expected byte %s", quoted(tensor.name).c_str(),
                   with_commas(tensor.offset).c_str(), how, before != nullptr ? ("tensor " + quoted(before->name)).c_str() : "the header",
                   with_commas(next).c_str());
    }
    const std::optional<uint64_t> end = checked_round_up(tensor.offset + tensor.bytes, header.alignment);
    if (!end) return out_of_file(tensor, header.data_start, file_bytes);
    next = *end;
    before = &tensor;
  }
  return {};
}

}  // namespace

Status read_gguf_tensors(Reader& reader, uint64_t count, MemoryBudget& budget, GgufHeader& out) {
  // The vector grows as tensors come (a false count costs nothing): twice its size while it does, then two index tables.
  KL_TRY(budget.take("tensor table", count, 2 * sizeof(TensorInfo) + 2 * sizeof(uint32_t)));
  for (uint64_t i = 0; i < count; ++i) {
    TensorInfo tensor;
    if (const Status status = read_tensor(reader, out.alignment, tensor); !status.ok()) {
      return status.at(format("tensor %s of %s", with_commas(i).c_str(), with_commas(count).c_str()));
    }
    out.tensors.push_back(tensor);
  }
  const uint64_t file_bytes = reader.offset() + reader.remaining();
  const std::optional<uint64_t> start = checked_round_up(reader.offset(), out.alignment);
  if (!start) return error(Code::corrupt, "the header ends at byte %s, too far to align", with_commas(reader.offset()).c_str());
  out.data_start = *start;
  return place(out, file_bytes);
}

}  // namespace kl
