// Tokens to tree, by the grammar of Jinja2 (3.1) with its loop controls and the `generation` tag of Hugging Face.
#pragma once
#include <memory>
#include <string_view>

#include "core/status.h"
#include "text/jinja/ast.h"

namespace kl::jinja {

// Errors name the line. unsupported: include, import, from, extends, autoescape, trans; nesting over the limits of budget.h.
Result<std::shared_ptr<const Ast>> parse(std::string_view source);

}  // namespace kl::jinja
