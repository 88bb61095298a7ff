// JSON from the app: parsed without exceptions, with a depth limit (R11), key order kept.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/status.h"

namespace kl {

using Json = nlohmann::ordered_json;

// Errors: invalid_argument (not JSON, naming `what`), unsupported (nesting over 64).
Result<Json> parse_json(std::string_view text, const char* what);
// Text for the boundary; invalid UTF-8 becomes U+FFFD.
std::string to_text(const Json& json);

}  // namespace kl
