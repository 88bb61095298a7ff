// Text from files inside messages: always printable ASCII, always short (R23).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace kl {

// "blk.0.attn_q.weight" with its quotes; other bytes than printable ASCII as \xNN; past max_bytes it is cut and "..." follows.
// With a std::string argument and <iomanip> in sight, write kl::quoted: argument-dependent look-up finds std::quoted first.
std::string quoted(std::string_view text, size_t max_bytes = 80);

}  // namespace kl
