#include "engine/json_text.h"

namespace kl {

Result<Json> parse_json(std::string_view text, const char* what) {
  // The library's reader is not recursive, its writer and comparison are: the depth is bounded before anything is built.
  constexpr int kMaxDepth = 64;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return error(Code::unsupported, "%s: JSON nested deeper than %d", what, kMaxDepth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (json.is_discarded()) return error(Code::invalid_argument, "%s: %zu bytes that are not a JSON text", what, text.size());
  return json;
}

std::string to_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace kl
