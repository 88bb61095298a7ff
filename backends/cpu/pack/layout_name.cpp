#include "cpu/pack/layout_name.h"

#include <charconv>
#include <vector>

namespace kl::cpu {
namespace {

constexpr char kPlaces[] = {0, 'b', 'h', 's'};  // in the order of ScalePlace

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t slash = text.find('/', begin);
    parts.push_back(text.substr(begin, slash == std::string_view::npos ? slash : slash - begin));
    if (slash == std::string_view::npos) return parts;
    begin = slash + 1;
  }
}

// "g32" with letter g -> 32; no sign, no leading zero, at least 1.
bool read_number(std::string_view part, char letter, uint32_t& number) {
  if (part.size() < 2 || part[0] != letter || part[1] == '0') return false;
  const char* end = part.data() + part.size();
  const auto [stop, failure] = std::from_chars(part.data() + 1, end, number);
  return failure == std::errc() && stop == end;
}

bool read_place(std::string_view part, char letter, ScalePlace& place) {
  if (part.size() != 2 || part[0] != letter) return false;
  for (const ScalePlace p : {ScalePlace::behind, ScalePlace::header, ScalePlace::separate}) {
    if (part[1] == kPlaces[static_cast<size_t>(p)]) {
      place = p;
      return true;
    }
  }
  return false;
}

}  // namespace

std::string print(const LayoutName& layout) {
  std::string text = name(layout.format);
  text += "/g" + std::to_string(layout.group) + "/n" + std::to_string(layout.rows);
  if (layout.columns != 1) text += "/k" + std::to_string(layout.columns);
  if (layout.scales != ScalePlace::none) text += std::string("/s") + kPlaces[static_cast<size_t>(layout.scales)];
  if (layout.zeros != ScalePlace::none) text += std::string("/z") + kPlaces[static_cast<size_t>(layout.zeros)];
  if (layout.permuted) text += "/p";
  return text;
}

Result<LayoutName> parse_layout(std::string_view text) {
  const std::vector<std::string_view> parts = split(text);
  const auto bad = [&](size_t at, const char* expected) {
    const std::string part = at < parts.size() ? "\"" + std::string(parts[at]) + "\"" : std::string("the end");
    return error(Code::invalid_argument, "layout name \"%.*s\": expected %s, got %s", static_cast<int>(text.size()), text.data(), expected,
                 part.c_str());
  };
  LayoutName layout;
  size_t at = 0;
  const std::optional<Format> format = format_from_name(parts[at]);
  if (!format) return bad(at, "a weight format");
  layout.format = *format;
  ++at;
  if (at >= parts.size() || !read_number(parts[at], 'g', layout.group)) return bad(at, "the group, like g32");
  ++at;
  if (at >= parts.size() || !read_number(parts[at], 'n', layout.rows)) return bad(at, "the interleaved rows, like n32");
  ++at;
  if (at < parts.size() && read_number(parts[at], 'k', layout.columns)) {
    if (layout.columns == 1) return bad(at, "no k1, which is the same as nothing");
    ++at;
  }
  if (at < parts.size() && read_place(parts[at], 's', layout.scales)) ++at;
  if (at < parts.size() && read_place(parts[at], 'z', layout.zeros)) ++at;
  if (at < parts.size() && parts[at] == "p") {
    layout.permuted = true;
    ++at;
  }
  if (at != parts.size()) return bad(at, "kCOLS, sPLACE, zPLACE or p, in this order, or the end");
  return layout;
}

}  // namespace kl::cpu
