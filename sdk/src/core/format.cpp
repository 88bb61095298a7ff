#include "core/format.h"

namespace kl {

std::optional<Format> format_from_ggml(uint32_t ggml_type) {
  for (const FormatInfo& row : kFormats) {
    if (row.ggml_type == ggml_type) return row.format;
  }
  return std::nullopt;
}

std::optional<Format> format_from_name(std::string_view name) {
  for (const FormatInfo& row : kFormats) {
    if (row.name == name) return row.format;
  }
  return std::nullopt;
}

}  // namespace kl
