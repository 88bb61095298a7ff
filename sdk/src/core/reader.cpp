#include "core/reader.h"

namespace kl {

Status MemoryBudget::take(const char* field, uint64_t count, uint64_t element_bytes) {
  const std::optional<uint64_t> bytes = checked_mul(count, element_bytes);
  if (!bytes || *bytes > left()) {
    return error(Code::out_of_memory,
                 "%s: %llu entries of %llu bytes in memory are more than the %s bytes left of the reader's budget of %s", field,
                 static_cast<unsigned long long>(count), static_cast<unsigned long long>(element_bytes), with_commas(left()).c_str(),
                 with_commas(limit_).c_str());
  }
  taken_ += *bytes;
  return {};
}

Result<uint64_t> Reader::count(const char* field, uint64_t min_element_bytes) {
  KL_ASSIGN(const uint64_t n, u64(field));
  if (n > remaining() / min_element_bytes) {
    const uint64_t fit = remaining() / min_element_bytes;
    offset_ -= sizeof(uint64_t);
    return error(Code::corrupt, "byte %s, %s: expected at most %s (so many fit into the rest of the file), got %s",
                 with_commas(offset_).c_str(), field, with_commas(fit).c_str(), with_commas(n).c_str());
  }
  return n;
}

Result<std::string_view> Reader::string(const char* field, uint64_t min, uint64_t max) {
  KL_ASSIGN(const uint64_t length, number_in<uint64_t>(field, min, max));
  const std::byte* at = nullptr;
  if (!claim(length, 1, &at)) return short_of(field, length, 1);
  return std::string_view(reinterpret_cast<const char*>(at), static_cast<size_t>(length));
}

Status Reader::walk_strings(const char* field, uint64_t n) {
  const uint64_t start = offset_;
  for (uint64_t i = 0; i < n; ++i) {
    if (Result<std::string_view> text = string(field); !text.ok())
      return text.status().at(format("string %s of %s", with_commas(i).c_str(), with_commas(n).c_str()));
  }
  offset_ = start;
  return {};
}

Result<std::span<const std::byte>> Reader::take(const char* field, uint64_t n, uint64_t element_bytes) {
  const uint64_t start = offset_;
  const std::byte* at = nullptr;
  if (!claim(n, element_bytes, &at)) return short_of(field, n, element_bytes);
  return std::span<const std::byte>(at, static_cast<size_t>(offset_ - start));
}

Status Reader::wrong(const char* field, uint64_t field_bytes, std::string_view expected, std::string_view got) const {
  return error(Code::corrupt, "byte %s, %s: expected %.*s, got %.*s", with_commas(offset_ - field_bytes).c_str(), field,
               static_cast<int>(expected.size()), expected.data(), static_cast<int>(got.size()), got.data());
}

Status Reader::short_of(const char* field, uint64_t n, uint64_t size) {
  const std::optional<uint64_t> bytes = checked_mul(n, size);
  if (bytes && *bytes <= remaining()) wanted_ = offset_ + *bytes;
  return error(Code::corrupt, "byte %s, %s: expected %s bytes, got %s until the end of the file", with_commas(offset_).c_str(), field,
               bytes ? with_commas(*bytes).c_str() : "2^64 or more", with_commas(remaining()).c_str());
}

Status Reader::out_of_range(const char* field, uint64_t value, uint64_t min, uint64_t max, uint64_t field_bytes) {
  offset_ -= field_bytes;
  return error(Code::corrupt, "byte %s, %s: expected %s to %s, got %s", with_commas(offset_).c_str(), field, with_commas(min).c_str(),
               with_commas(max).c_str(), with_commas(value).c_str());
}

Status DepthGuard::check(const char* field, uint32_t max) const {
  if (depth_ <= max) return {};
  return error(Code::corrupt, "%s: expected a nesting of at most %u, got %u", field, max, depth_);
}

}  // namespace kl
