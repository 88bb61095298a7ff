#include "models/vision_spec.h"

namespace kl {
namespace {

std::string with_number(std::string text, const char* mark, uint32_t number) {
  if (const size_t at = text.find(mark); at != std::string::npos) text.replace(at, 3, std::to_string(number));
  return text;
}

}  // namespace

std::vector<std::string> text_around(const ImageText& text, uint32_t rows, uint32_t columns, bool bare) {
  std::vector<std::string> around;
  std::string next = bare ? text.bare_before : "";
  for (uint32_t r = 1; r <= rows; ++r) {
    for (uint32_t c = 1; c <= columns; ++c) {
      around.push_back(next + with_number(with_number(text.tile, "{r}", r), "{c}", c));
      next.clear();
    }
    next = text.row_end;
  }
  around.push_back(next + (rows > 0 ? text.whole : text.before));
  around.push_back(std::string(text.after) + (bare ? text.bare_after : ""));
  return around;
}

}  // namespace kl
