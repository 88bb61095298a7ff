// Token texts with a known role, for files that do not state it.
#pragma once
#include <cstdint>
#include <string_view>

namespace kl {

enum class TokenRole : uint8_t {
  none,
  control,     // fill-in-the-middle marks: control tokens, whatever the file says
  end,         // a control token after which a generation stops
  end_of_turn  // the same, and the end-of-turn token where the file names none
};

TokenRole token_role(std::string_view text);

}  // namespace kl
