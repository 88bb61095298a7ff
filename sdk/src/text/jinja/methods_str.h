// Method tables of the types, for find_method().
#pragma once
#include <span>

#include "text/jinja/tables.h"

namespace kl::jinja {
std::span<const MethodEntry> str_methods();
}  // namespace kl::jinja
