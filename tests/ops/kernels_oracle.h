// Scalar oracles for the CPU kernels, written from the definitions in isa/kernels.h and linear_q8.h: the same arithmetic in the same order, without
// any layout. Kernels must equal them bit for bit.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "core/format.h"
#include "core/half.h"
#include "cpu/isa/isa.h"

namespace kl::cpu::oracle {

inline constexpr Format kAllFormats[] = {Format::f32,  Format::f16,  Format::bf16, Format::q8_0, Format::q4_0,   Format::q4_1, Format::q5_0,
                                         Format::q5_1, Format::q4_k, Format::q5_k, Format::q6_k, Format::iq4_nl, Format::mxfp4};

inline std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (const Isa isa : kIsas) {
    if (isa_available(isa)) all.push_back(isa);
  }
  return all;
}

// A quantized row of 32 values.
struct Q8Group {
  float scale = 0;
  int q[32] = {};
  int sum(int from, int to) const {
    int total = 0;
    for (int i = from; i < to; ++i) total += q[i];
    return total;
  }
};

inline std::vector<Q8Group> quantize(const float* x, size_t k) {
  std::vector<Q8Group> groups(k / 32);
  for (size_t g = 0; g < groups.size(); ++g) {
    float most = 0;
    for (size_t i = 0; i < 32; ++i) most = std::fmax(most, std::fabs(x[32 * g + i]));
    if (most <= 0x1p-100f) continue;
    groups[g].scale = most / 127.0f;
    const float inverse = 127.0f / most;
    for (size_t i = 0; i < 32; ++i) groups[g].q[i] = static_cast<int>(std::nearbyint(x[32 * g + i] * inverse));
  }
  return groups;
}

// 32 weights: code * scale + minimum. Q6_K: two halves with integer scales.
struct WeightGroup {
  int code[32] = {};
  int half_scale[2] = {1, 1};
  float scale = 0, minimum = 0;
  bool has_minimum = false;
};

inline unsigned byte_of(const std::byte* p, size_t i) { return std::to_integer<unsigned>(p[i]); }
inline float half_of(const std::byte* p, size_t i) { return f16_to_f32(static_cast<uint16_t>(byte_of(p, i) | byte_of(p, i + 1) << 8)); }

// Group g of a canonical row, from the GGUF block definitions.
inline WeightGroup weight_group(Format format, const std::byte* row, size_t g) {
  WeightGroup out;
  const std::byte* b = row + info(format).block_bytes * (info(format).block_elements == 32 ? g : g / 8);
  const size_t j = g % 8;
  const auto nibbles = [&](size_t at, int offset) {
    for (size_t i = 0; i < 16; ++i) {
      out.code[i] = static_cast<int>(byte_of(b, at + i) & 15) - offset;
      out.code[16 + i] = static_cast<int>(byte_of(b, at + i) >> 4) - offset;
    }
  };
  const auto fifth = [&](size_t at) {
    for (size_t i = 0; i < 32; ++i) out.code[i] += static_cast<int>(byte_of(b, at + i / 8) >> (i % 8) & 1) << 4;
  };
  const auto table = [&](const int(&values)[16]) {
    for (int& c : out.code) c = values[c];
  };
  static constexpr int kIq4Nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  static constexpr int kE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  switch (format) {
    case Format::q8_0:
      out.scale = half_of(b, 0);
      for (size_t i = 0; i < 32; ++i) out.code[i] = static_cast<int8_t>(byte_of(b, 2 + i));
      break;
    case Format::q4_0:
      out.scale = half_of(b, 0), nibbles(2, 8);
      break;
    case Format::q4_1:
      out.scale = half_of(b, 0), out.minimum = half_of(b, 2), out.has_minimum = true, nibbles(4, 0);
      break;
    case Format::q5_0:
      out.scale = half_of(b, 0), nibbles(6, 16), fifth(2);
      break;
    case Format::q5_1:
      out.scale = half_of(b, 0), out.minimum = half_of(b, 2), out.has_minimum = true, nibbles(8, 0), fifth(4);
      break;
    case Format::iq4_nl:
      out.scale = half_of(b, 0), nibbles(2, 0), table(kIq4Nl);
      break;
    case Format::mxfp4:
      out.scale = std::ldexp(1.0f, static_cast<int>(byte_of(b, 0)) - 128), nibbles(1, 0), table(kE2m1);
      break;
    case Format::q4_k:
    case Format::q5_k: {
      const std::byte* s = b + 4;
      const unsigned scale = j < 4 ? byte_of(s, j) & 63 : (byte_of(s, j + 4) & 15) | byte_of(s, j - 4) >> 6 << 4;
      const unsigned minimum = j < 4 ? byte_of(s, j + 4) & 63 : byte_of(s, j + 4) >> 4 | byte_of(s, j) >> 6 << 4;
      out.scale = half_of(b, 0) * static_cast<float>(scale);
      out.minimum = -(half_of(b, 2) * static_cast<float>(minimum));
      out.has_minimum = true;
      const size_t codes = format == Format::q4_k ? 16 : 48;
      for (size_t i = 0; i < 32; ++i) {
        out.code[i] = static_cast<int>(byte_of(b, codes + 32 * (j / 2) + i) >> (4 * (j % 2)) & 15);
        if (format == Format::q5_k) out.code[i] += static_cast<int>(byte_of(b, 16 + i) >> j & 1) << 4;
      }
      break;
    }
    case Format::q6_k:
      out.scale = half_of(b, 208);
      for (size_t h = 0; h < 2; ++h) out.half_scale[h] = static_cast<int8_t>(byte_of(b, 192 + 2 * j + h));
      for (size_t i = 0; i < 32; ++i) {
        const unsigned low = byte_of(b, 64 * (j / 4) + 32 * (j % 2) + i) >> (4 * (j % 4 / 2)) & 15;
        const unsigned high = byte_of(b, 128 + 32 * (j / 4) + i) >> (2 * (j % 4)) & 3;
        out.code[i] = static_cast<int>(low | high << 4) - 32;
      }
      break;
    default:
      break;
  }
  return out;
}

// The law of linear_q8.h.
inline float dot_q8(Format format, const std::byte* row, const std::vector<Q8Group>& x) {
  float c = 0;
  for (size_t g = 0; g < x.size(); ++g) {
    const WeightGroup w = weight_group(format, row, g);
    int dot[2] = {0, 0};
    for (int i = 0; i < 32; ++i) dot[i / 16] += w.code[i] * x[g].q[i];
    if (w.has_minimum) c = std::fma(w.minimum, x[g].scale * static_cast<float>(x[g].sum(0, 32)), c);
    c = std::fma(static_cast<float>(w.half_scale[0] * dot[0] + w.half_scale[1] * dot[1]), w.scale * x[g].scale, c);
  }
  return c;
}

// The law of linear_f32.h.
inline float dot_f32(Format format, const std::byte* row, const float* x, size_t k) {
  float c = 0;
  for (size_t i = 0; i < k; ++i) {
    float w = 0;
    if (format == Format::f32) std::memcpy(&w, row + 4 * i, 4);
    if (format == Format::f16) w = half_of(row, 2 * i);
    if (format == Format::bf16) w = bf16_to_f32(static_cast<uint16_t>(byte_of(row, 2 * i) | byte_of(row, 2 * i + 1) << 8));
    c = std::fma(w, x[i], c);
  }
  return c;
}

using Random = std::mt19937;

inline std::vector<float> random_floats(size_t count, Random& random, float spread = 1.0f) {
  std::vector<float> x(count);
  for (float& v : x) v = spread * (static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
  return x;
}

// n canonical rows whose code bits are random and whose scales are small finite numbers.
inline std::vector<std::byte> random_rows(Format format, size_t n, size_t k, Random& random) {
  std::vector<std::byte> rows(n * row_bytes(format, k));
  for (std::byte& b : rows) b = static_cast<std::byte>(random() >> 13);
  const size_t block = info(format).block_bytes;
  const auto put_half = [&](std::byte* at) {
    const uint16_t h = f32_to_f16(static_cast<float>(random() >> 8) * 0x1p-28f - 0.03f);
    std::memcpy(at, &h, 2);
  };
  for (size_t at = 0; at < rows.size(); at += block) {
    std::byte* b = rows.data() + at;
    switch (format) {
      case Format::f32: {
        const float v = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
        std::memcpy(b, &v, 4);
        break;
      }
      case Format::bf16: {
        const uint16_t v = f32_to_bf16(static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
        std::memcpy(b, &v, 2);
        break;
      }
      case Format::mxfp4:
        b[0] = static_cast<std::byte>(random() % 24 == 0 ? random() % 4 : 110 + random() % 16);
        break;
      case Format::q6_k:
        put_half(b + 208);
        break;
      case Format::q4_1:
      case Format::q5_1:
      case Format::q4_k:
      case Format::q5_k:
        put_half(b + 2);
        [[fallthrough]];
      default:
        put_half(b);
        break;
    }
  }
  return rows;
}

inline bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }
inline bool same_bits(const float* a, const float* b, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace kl::cpu::oracle
