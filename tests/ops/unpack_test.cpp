// The SIMD unpacker gives the bits of the canonical row, for every format and instruction set.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/formats.h"
#include "cpu/isa/isa.h"
#include "cpu/pack/pack.h"

namespace kl::cpu {
namespace {

TEST(Unpack, EveryFormatAndInstructionSetGivesTheBitsOfTheRow) {
  constexpr size_t kK = 512, kN = 32;
  constexpr float kGuard = 12345.0f;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  int compared = 0;
  for (const FormatInfo& format : kFormats) {
    if (!reads_q8(format.format)) continue;
    std::vector<float> values(kN * kK);
    for (float& v : values) v = normal(random);
    std::vector<std::byte> rows(kN * row_bytes(format.format, kK)), panel(panel_bytes(format.format, kK));
    quantize_row(format.format, values.data(), rows.data(), values.size());
    dequantize_row(format.format, rows.data(), values.data(), values.size());
    pack_panel(format.format, rows.data(), kN, kK, panel.data());
    for (const Isa isa : kIsas) {
      if (!isa_available(isa)) continue;
      std::vector<float> out(kK * kN + 16, kGuard);
      kernels(isa).unpack(format.format, panel.data(), kK, out.data());
      for (size_t o = 0; o < kN; ++o) {
        for (size_t k = 0; k < kK; ++k) {
          ASSERT_EQ(std::memcmp(&out[k * kN + o], &values[o * kK + k], sizeof(float)), 0)
              << format.name << " " << name(isa) << " output " << o << " K " << k << ": " << out[k * kN + o] << " instead of "
              << values[o * kK + k];
        }
      }
      for (size_t i = kK * kN; i < out.size(); ++i) EXPECT_EQ(out[i], kGuard);
      ++compared;
    }
  }
  EXPECT_GE(compared, 10);
}

}  // namespace
}  // namespace kl::cpu
