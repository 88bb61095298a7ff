// Names of packed weight layouts, in one grammar:
//
//   format / gGROUP / nROWS [/ kCOLS] [/ sPLACE] [/ zPLACE] [/ p]
//
//   gGROUP   values along K that share a scale (1: no scales)
//   nROWS    outputs interleaved: a panel
//   kCOLS    neighbouring K of one output that stay together within the interleave (absent: 1)
//   sPLACE   where scales are: sb behind the codes of their group, sh in a header before the groups of a block, ss in a separate array
//   zPLACE   the same for zero points or minima (absent: none)
//   p        inputs are permuted; the permutation travels with the weight
//
// "q4_1/g32/n32/k4/sb/zb": Q4_1, 32 outputs interleaved four K at a time, scales and minima behind each group.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/format.h"
#include "core/status.h"

namespace kl::cpu {

enum class ScalePlace : uint8_t { none, behind, header, separate };

struct LayoutName {
  Format format = Format::f32;
  uint32_t group = 1;
  uint32_t rows = 1;
  uint32_t columns = 1;
  ScalePlace scales = ScalePlace::none;
  ScalePlace zeros = ScalePlace::none;
  bool permuted = false;
  bool operator==(const LayoutName&) const = default;
};

std::string print(const LayoutName& layout);
// Errors: invalid_argument, naming the part that is not understood. parse(print(x)) == x, and print(parse(text)) == text.
Result<LayoutName> parse_layout(std::string_view text);

}  // namespace kl::cpu
