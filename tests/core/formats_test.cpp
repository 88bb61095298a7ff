// The reference formats against checksums of gguf-py's reference (tests/golden/formats.txt, made by scripts/goldens/formats.py), and our own
// quantizers against the error their codes allow.
#include "core/formats.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace kl {
namespace {

constexpr size_t kBlocks = 65536, kChunk = 8192;

uint64_t splitmix(uint64_t index) {
  uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint32_t crc32(std::span<const std::byte> bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      table[i] = c;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (const std::byte b : bytes) crc = kTable[(crc ^ std::to_integer<uint32_t>(b)) & 255] ^ (crc >> 8);
  return ~crc;
}

// The script's blocks [first, first + kChunk).
std::vector<std::byte> blocks_of(const FormatInfo& format, size_t first) {
  std::vector<std::byte> out(kChunk * format.block_bytes);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = first * format.block_bytes + i;
    out[i] = static_cast<std::byte>(splitmix((uint64_t{format.ggml_type} << 32) + at / 8) >> (at % 8 * 8));
  }
  if (format.format == Format::f32 || format.format == Format::mxfp4) return out;
  const size_t scale_at = format.format == Format::q6_k ? 208 : 0;
  for (size_t b = 0; b < kChunk; ++b) {
    out[b * format.block_bytes + scale_at] = static_cast<std::byte>((first + b) & 255);
    out[b * format.block_bytes + scale_at + 1] = static_cast<std::byte>((first + b) >> 8);
  }
  return out;
}

// The script's values for the blocks [first, first + kChunk).
std::vector<float> values_of(const FormatInfo& format, size_t first) {
  std::vector<float> out(kChunk * format.block_elements);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = first * format.block_elements + i, group = at / 32;
    int64_t mantissa = static_cast<int64_t>(splitmix((uint64_t{format.ggml_type + 100} << 32) + at) >> 40) - (1 << 23);
    if (group % 64 == 0) mantissa = 1 << 22;
    if (group % 64 == 1) mantissa = 0;
    out[i] = static_cast<float>(std::ldexp(static_cast<double>(mantissa), -43 + static_cast<int>(group % 41)));
  }
  return out;
}

struct Golden {
  std::string what, format;
  size_t first;
  uint32_t crc;
};

std::vector<Golden> goldens() {
  std::vector<Golden> out;
  std::ifstream file(KL_TEST_DATA "/golden/formats.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (Golden g; line[0] != '#' && words >> g.what >> g.format >> g.first >> g.crc) out.push_back(g);
  }
  return out;
}

TEST(Formats, EveryFormatReadsAllScalesAndCodesAsTheReferenceDoesBitForBit) {
  size_t checked = 0;
  for (const Golden& g : goldens()) {
    if (g.what != "dequantize") continue;
    const FormatInfo& format = info(*format_from_name(g.format));
    const std::vector<std::byte> src = blocks_of(format, g.first);
    std::vector<float> values(kChunk * format.block_elements);
    dequantize_row(format.format, src.data(), values.data(), values.size());
    for (float& v : values) {
      if (std::isnan(v)) v = std::bit_cast<float>(0x7fc00000u);
    }
    EXPECT_EQ(crc32(std::as_bytes(std::span(values))), g.crc) << g.format << ", blocks from " << g.first;
    ++checked;
  }
  EXPECT_EQ(checked, kFormatCount * kBlocks / kChunk);
}

TEST(Formats, TheSimpleFormatsAreWrittenAsTheReferenceDoesBitForBit) {
  size_t checked = 0;
  for (const Golden& g : goldens()) {
    if (g.what != "quantize") continue;
    const FormatInfo& format = info(*format_from_name(g.format));
    const std::vector<float> values = values_of(format, g.first);
    std::vector<std::byte> out(kChunk * format.block_bytes);
    quantize_row(format.format, values.data(), out.data(), values.size());
    EXPECT_EQ(crc32(out), g.crc) << g.format << ", blocks from " << g.first;
    ++checked;
  }
  EXPECT_EQ(checked, 7 * kBlocks / kChunk);
}

// Root mean square error over root mean square of normal values, measured once and rounded up; a wrong nibble order or scale gives about 1.
TEST(Formats, QuantizedNormalValuesComeBackWithinTheErrorTheFormatAllows) {
  constexpr double kLimit[kFormatCount] = {0, 3e-4, 2.5e-3, 0.006, 0.09, 0.08, 0.045, 0.04, 0.08, 0.04, 0.02, 0.085, 0.125};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(256 * 64), y(x.size());
  for (float& v : x) v = normal(random);
  for (const FormatInfo& format : kFormats) {
    std::vector<std::byte> packed(row_bytes(format.format, x.size()));
    quantize_row(format.format, x.data(), packed.data(), x.size());
    dequantize_row(format.format, packed.data(), y.data(), y.size());
    double error = 0, power = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      error += (x[i] - y[i]) * static_cast<double>(x[i] - y[i]);
      power += static_cast<double>(x[i]) * x[i];
    }
    EXPECT_LE(std::sqrt(error / power), kLimit[static_cast<size_t>(format.format)]) << format.name;
    RecordProperty(format.name, std::to_string(std::sqrt(error / power)));
  }
}

// The formats that have codes for them: a value that a block holds exactly is a fixed point of reading and writing again.
TEST(Formats, ReadingAndWritingAgainChangesNothing) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(256 * 16), y(x.size()), z(x.size());
  for (float& v : x) v = normal(random);
  for (const Format format :
       {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0, Format::q5_0, Format::iq4_nl, Format::mxfp4}) {
    std::vector<std::byte> packed(row_bytes(format, x.size()));
    quantize_row(format, x.data(), packed.data(), x.size());
    dequantize_row(format, packed.data(), y.data(), y.size());
    quantize_row(format, y.data(), packed.data(), y.size());
    dequantize_row(format, packed.data(), z.data(), z.size());
    EXPECT_EQ(y, z) << name(format);
  }
}

TEST(Formats, ZerosStayZeroAndValuesThatAreNotFiniteHarmNothing) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kMax = std::numeric_limits<float>::max(), kTiny = std::numeric_limits<float>::denorm_min();
  for (const FormatInfo& format : kFormats) {
    std::vector<float> x(256), y(256, 1.0f);
    std::vector<std::byte> packed(row_bytes(format.format, x.size()));
    quantize_row(format.format, x.data(), packed.data(), x.size());
    dequantize_row(format.format, packed.data(), y.data(), y.size());
    for (const float v : y) EXPECT_EQ(v, 0.0f) << format.name;
    for (const float odd : {kInfinity, -kInfinity, kNan, kMax, -kMax, kTiny, -kTiny}) {
      for (const size_t at : {size_t{0}, size_t{17}, size_t{255}}) {
        for (size_t i = 0; i < x.size(); ++i) x[i] = 0.01f * static_cast<float>(i);
        x[at] = odd;
        quantize_row(format.format, x.data(), packed.data(), x.size());  // the sanitizers watch the conversions
        dequantize_row(format.format, packed.data(), y.data(), y.size());
      }
    }
  }
}

}  // namespace
}  // namespace kl
