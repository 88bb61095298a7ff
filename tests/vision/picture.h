// What the tests of this folder share: their pictures, files and checksums.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "vision/pixels.h"
#include "vision/resample.h"

namespace kl::testing {

inline const std::map<std::string, Filter> kFilters = {
    {"bilinear", Filter::bilinear}, {"bicubic", Filter::bicubic}, {"lanczos", Filter::lanczos}};

inline std::filesystem::path images() { return std::filesystem::path(KL_TEST_DATA) / "data" / "images"; }
inline std::filesystem::path goldens() { return std::filesystem::path(KL_TEST_DATA) / "golden" / "pixels"; }

inline std::vector<std::byte> bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// The files of tests/data/images that decode.txt names.
inline std::vector<std::string> image_files() {
  std::vector<std::string> names;
  std::ifstream in(goldens() / "decode.txt");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with('#')) names.push_back(line.substr(0, line.find(' ')));
  }
  return names;
}

// Lines of a golden, cut at blanks.
inline std::vector<std::vector<std::string>> golden_lines(const char* name) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream in(goldens() / name);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    lines.push_back({std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()});
  }
  return lines;
}

// zlib's CRC-32, continued from `crc`.
inline uint32_t crc32(const std::vector<uint8_t>& data, uint32_t crc = 0) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = t[i] >> 1 ^ ((t[i] & 1) != 0 ? 0xedb88320U : 0U);
    }
    return t;
  }();
  crc = ~crc;
  for (const uint8_t byte : data) crc = crc >> 8 ^ table[(crc ^ byte) & 255];
  return ~crc;
}

// As scripts/goldens/pixels.py makes it: a gradient under noise, with hard edges.
inline Picture made_picture(uint32_t width, uint32_t height) {
  Picture picture{width, height, {}};
  picture.rgb.reserve(size_t{3} * width * height);
  for (uint64_t y = 0; y < height; ++y) {
    for (uint64_t x = 0; x < width; ++x) {
      for (uint64_t c = 0; c < 3; ++c) {
        uint64_t z = ((y * width + x) * 3 + c + 1) * 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        const uint64_t noise = (z ^ z >> 27) >> 56;
        const uint64_t gradient = (x * 5 + y * 3 + c * 80) % 256;
        const uint64_t edge = (x / 16 + y / 16) % 3 == 0 ? 255 : 0;
        picture.rgb.push_back(static_cast<uint8_t>((gradient * 2 + noise + edge) / 4));
      }
    }
  }
  return picture;
}

// A small repeatable source of bits.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
  }
  uint64_t below(uint64_t n) { return next() % n; }

 private:
  uint64_t state_;
};

}  // namespace kl::testing
