#include "cpu/kernels/rope.h"

#include <cmath>

namespace kl::cpu {

Result<RopeFrequencies> rope_frequencies(const RopeSpec& spec, std::span<const float> factors) {
  if (spec.dims % 2 != 0) return error(Code::invalid_argument, "rope turns pairs, %u dimensions are odd", spec.dims);
  const size_t pairs = spec.dims / 2;
  if (!std::isfinite(spec.base) || spec.base <= 0)
    return error(Code::invalid_argument, "rope base %g is not positive", static_cast<double>(spec.base));
  if (!std::isfinite(spec.scale) || spec.scale <= 0) {
    return error(Code::invalid_argument, "rope position scale %g is not positive", static_cast<double>(spec.scale));
  }
  if (!factors.empty() && factors.size() != pairs) {
    return error(Code::invalid_argument, "%zu rope frequency factors for %zu pairs of dimensions", factors.size(), pairs);
  }
  const uint64_t in_sections = uint64_t{spec.sections[0]} + spec.sections[1] + spec.sections[2];
  if (in_sections != 0 && in_sections != pairs) {
    return error(Code::invalid_argument, "rope sections %u + %u + %u are not the %zu pairs", spec.sections[0], spec.sections[1],
                 spec.sections[2], pairs);
  }
  RopeFrequencies f;
  f.attention_factor = spec.attention_factor;
  f.frequency.resize(pairs);
  f.component.assign(pairs, 0);
  for (size_t i = 0; i < pairs; ++i) {
    const double factor = factors.empty() ? 1.0 : static_cast<double>(factors[i]);
    if (!std::isfinite(factor) || factor <= 0)
      return error(Code::invalid_argument, "rope frequency factor %zu is %g, not positive", i, factor);
    size_t first = 0, section = pairs;  // the pairs that this one counts among
    if (in_sections != 0) {
      const size_t begin[] = {0, spec.sections[0], size_t{spec.sections[0]} + spec.sections[1]};
      f.component[i] = i >= begin[2] ? 2 : i >= begin[1] ? 1 : 0;
      if (spec.section_frequencies) first = begin[f.component[i]], section = spec.sections[f.component[i]];
    }
    const double exponent = -static_cast<double>(i - first) / static_cast<double>(section);
    f.frequency[i] = std::pow(static_cast<double>(spec.base), exponent) / (factor * static_cast<double>(spec.scale));
  }
  return f;
}

void rope_table(const RopeFrequencies& f, const int32_t* positions, uint32_t rows, float* table) {
  const size_t pairs = f.frequency.size();
  const double factor = static_cast<double>(f.attention_factor);
  for (uint32_t t = 0; t < rows; ++t) {
    const int32_t* position = positions + size_t{3} * t;
    float* row = table + t * 2 * pairs;
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position[f.component[i]]) * f.frequency[i];
      row[i] = static_cast<float>(std::cos(angle) * factor);
      row[pairs + i] = static_cast<float>(std::sin(angle) * factor);
    }
  }
}

}  // namespace kl::cpu
