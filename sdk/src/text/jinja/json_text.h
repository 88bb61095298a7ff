// tojson as Hugging Face defines it: Python's json.dumps without HTML escapes.
#pragma once
#include <optional>
#include <string>

#include "text/jinja/runtime.h"

namespace kl::jinja {

struct JsonStyle {
  bool ascii = false;         // ensure_ascii
  std::optional<Str> indent;  // one level of it; none: everything on one line
  Str item_separator{", ", true}, key_separator{": ", true};
  bool sort_keys = false;
};

// Errors: values JSON has no form for (undefined, functions, dict views), as in Python.
Status to_json(Runtime&, const Value& value, const JsonStyle& style, StrBuilder& out);

}  // namespace kl::jinja
