// The file the damage tests start from: small, with every metadata type and every tensor format.
#pragma once
#include <string>
#include <vector>

#include "support/gguf_writer.h"

namespace kl::test {

inline std::vector<float> ramp(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = (static_cast<float>(i * 37 % 101) - 50.0f) / 64.0f;
  return values;
}

inline GgufWriter small_file() {
  GgufWriter file;
  file.string("general.architecture", "test").u8("t.u8", 200).i8("t.i8", -7).u16("t.u16", 60000).i16("t.i16", -30000);
  file.u32("t.u32", 4000000000u).i32("t.i32", -2000000000).u64("t.u64", UINT64_MAX).i64("t.i64", INT64_MIN);
  file.f32("t.f32", 0.25f).f64("t.f64", -0.1).boolean("t.bool", true);
  file.strings("t.strings", {"a", std::string("b\0c", 3), ""}).floats("t.floats", {1, 2, -3.5f}).doubles("t.doubles", {0.5});
  file.ints("t.ints", {1, -2}).uints("t.uints", {1, 4294967295u}).booleans("t.bools", {1, 0}).nested("t.nested", {{1, 2}, {}});
  file.array<uint8_t>("t.u8s", MetaType::u8, {255}).array<int8_t>("t.i8s", MetaType::i8, {-128});
  file.array<uint16_t>("t.u16s", MetaType::u16, {65535}).array<int16_t>("t.i16s", MetaType::i16, {-32768});
  file.array<uint64_t>("t.u64s", MetaType::u64, {UINT64_MAX}).array<int64_t>("t.i64s", MetaType::i64, {-1});
  file.alignment(16);
  for (const FormatInfo& format : kFormats) {
    const std::vector<uint64_t> dims = format.block_elements == 256 ? std::vector<uint64_t>{256} : std::vector<uint64_t>{32, 1, 2};
    file.tensor(std::string(format.name) + ".weight", format.format, dims, ramp(format.block_elements == 256 ? 256 : 64));
  }
  return file;
}

}  // namespace kl::test
