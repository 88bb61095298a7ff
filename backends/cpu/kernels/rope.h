// Rotary positions: the angles of a step's rows, computed once per step in double precision and shared by every layer with the same table.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "ir/op.h"

namespace kl::cpu {

// Frequencies of the pairs and which position component turns each. 1-D text: all components 0. Sectioned (M-RoPE): pairs follow component
// 0, 1, 2 by section. 2-D (vision towers): any assignment can be written into the two arrays.
struct RopeFrequencies {
  std::vector<double> frequency;   // [dims / 2] radians per position
  std::vector<uint8_t> component;  // [dims / 2] 0 to 2
  float attention_factor = 1.0f;   // multiplies cos and sin

  uint32_t dims() const { return static_cast<uint32_t>(2 * frequency.size()); }
};

// From the op's spec. factors: empty or [dims / 2] divisors of the frequencies. Errors: odd dims, base or scale or a factor not positive and
// finite, wrong number of factors, sections that do not add up to dims / 2.
Result<RopeFrequencies> rope_frequencies(const RopeSpec& spec, std::span<const float> factors);

// positions [rows][3] -> table [rows][dims]: for each row cos of every pair, then sin of every pair, both times attention_factor.
// Thread-safe; rows may be split over threads.
void rope_table(const RopeFrequencies& frequencies, const int32_t* positions, uint32_t rows, float* table);

}  // namespace kl::cpu
