#include "backend/rope_table.h"

#include <algorithm>
#include <cmath>

namespace kl {
namespace {

struct Pair {
  double frequency = 0;  // radians per position
  uint32_t component = 0;
};

Result<std::vector<Pair>> pairs_of(const RopeSpec& spec, const std::vector<float>& factors) {
  const uint32_t count = spec.dims / 2;
  const auto positive = [](double v) { return std::isfinite(v) && v > 0; };
  if (spec.dims % 2 != 0 || !positive(static_cast<double>(spec.base)) || !positive(static_cast<double>(spec.scale)) ||
      (!factors.empty() && factors.size() != count))
    return error(Code::invalid_argument, "rope of %u dimensions, base %g, scale %g, %zu factors", spec.dims, static_cast<double>(spec.base),
                 static_cast<double>(spec.scale), factors.size());
  const uint64_t sum = uint64_t{spec.sections[0]} + spec.sections[1] + spec.sections[2];
  if (sum != 0 && sum != count)
    return error(Code::invalid_argument, "rope sections %u + %u + %u are not the %u pairs", spec.sections[0], spec.sections[1],
                 spec.sections[2], count);
  std::vector<Pair> pairs(count);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t section = 0, first = 0;
    while (sum != 0 && section < 2 && i >= first + spec.sections[section]) first += spec.sections[section++];
    const double factor = factors.empty() ? 1.0 : static_cast<double>(factors[i]);
    if (!positive(factor)) return error(Code::invalid_argument, "rope frequency factor %u is %g, not positive", i, factor);
    const double exponent = spec.section_frequencies && sum != 0 ? static_cast<double>(i - first) / spec.sections[section]
                                                                 : 2.0 * static_cast<double>(i) / spec.dims;
    pairs[i] = {std::pow(static_cast<double>(spec.base), -exponent) / (factor * static_cast<double>(spec.scale)), section};
  }
  return pairs;
}

}  // namespace

bool same_rope_table(const RopeSpec& a, const RopeSpec& b) {
  return a.dims == b.dims && a.base == b.base && a.scale == b.scale && a.attention_factor == b.attention_factor &&
         std::equal(std::begin(a.sections), std::end(a.sections), std::begin(b.sections)) && a.section_frequencies == b.section_frequencies;
}

Result<RopeTable> rope_table(const RopeSpec& spec, const std::vector<float>& factors) {
  KL_ASSIGN(const std::vector<Pair> pairs, pairs_of(spec, factors));
  RopeTable table;
  table.turns.reserve(3 * 256 * pairs.size() * 2);
  for (uint32_t digit = 0; digit < 3; ++digit) {
    // The lowest digit carries the factor; the others turn only.
    const double factor = digit == 0 ? static_cast<double>(spec.attention_factor) : 1.0;
    for (uint32_t value = 0; value < 256; ++value) {
      for (const Pair& pair : pairs) {
        const double angle = static_cast<double>(uint64_t{value} << (8 * digit)) * pair.frequency;
        table.turns.push_back(static_cast<float>(std::cos(angle) * factor));
        table.turns.push_back(static_cast<float>(std::sin(angle) * factor));
      }
    }
  }
  for (const Pair& pair : pairs) table.components.push_back(pair.component);
  return table;
}

}  // namespace kl
