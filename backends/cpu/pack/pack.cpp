// GGUF rows into panels. What each byte of a panel means: pack/unpack_reference.cpp. Packing is a transpose of 32-bit words wherever the file's nibble
// order allows (4-bit formats of 32, 8-bit), and a re-pairing of nibbles for the K formats.
#include "cpu/pack/pack.h"

#include <cstring>

#include "core/checked.h"
#include "cpu/isa/kernels.h"

namespace kl::cpu {
namespace {

constexpr size_t kN = kPanelOutputs;

struct PanelShape {
  const char* layout;
  size_t block_k, block_bytes;  // of a panel
};

const PanelShape& shape(Format format) {
  static constexpr PanelShape kShapes[kFormatCount] = {
      {"f32/g1/n32", 1, 128},
      {"f16/g1/n32", 1, 64},
      {"bf16/g1/n32", 1, 64},
      {"q8_0/g32/n32/k4/sb", 32, 1088},
      {"q4_0/g32/n32/k4/sb", 32, 576},
      {"q4_1/g32/n32/k4/sb/zb", 32, 640},
      {"q5_0/g32/n32/k4/sb", 32, 704},
      {"q5_1/g32/n32/k4/sb/zb", 32, 768},
      {"q4_k/g32/n32/k4/sh/zh", 256, 4608},
      {"q5_k/g32/n32/k4/sh/zh", 256, 5632},
      {"q6_k/g16/n32/k4/sh", 256, 6720},
      {"iq4_nl/g32/n32/k4/sb", 32, 576},
      {"mxfp4/g32/n32/k4/sb", 32, 544},
  };
  return kShapes[static_cast<size_t>(format)];
}

void copy_words(const std::byte* from, size_t words, size_t output, std::byte* to) {
  for (size_t i = 0; i < words; ++i) std::memcpy(to + 4 * kN * i + 4 * output, from + 4 * i, 4);
}

// The fifth bits of one output: bit(k) for k = 0..31 of a group.
template <class Bit>
void put_plane(Bit bit, size_t output, std::byte* plane) {
  for (size_t b = 0; b < 4; ++b) {
    unsigned byte = 0;
    for (size_t i = 0; i < 4; ++i) byte |= bit(4 * i + b) << i | bit(16 + 4 * i + b) << (4 + i);
    plane[4 * output + b] = static_cast<std::byte>(byte);
  }
}

uint32_t load_u32(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}

// One group of 32 K of one output, for the formats whose blocks are 32 values.
void pack_q8_0(const std::byte* block, size_t o, std::byte* group) {
  std::byte biased[32];
  for (size_t i = 0; i < 32; ++i) biased[i] = block[2 + i] ^ std::byte{0x80};
  copy_words(biased, 8, o, group);
  std::memcpy(group + 1024 + 2 * o, block, 2);
}
void pack_q4_0(const std::byte* block, size_t o, std::byte* group) {
  copy_words(block + 2, 4, o, group);
  std::memcpy(group + 512 + 2 * o, block, 2);
}
void pack_q4_1(const std::byte* block, size_t o, std::byte* group) {
  copy_words(block + 4, 4, o, group);
  std::memcpy(group + 512 + 2 * o, block, 2);
  std::memcpy(group + 576 + 2 * o, block + 2, 2);
}
void pack_q5_0(const std::byte* block, size_t o, std::byte* group) {
  const uint32_t high = load_u32(block + 2);
  put_plane([&](size_t k) { return high >> k & 1u; }, o, group);
  copy_words(block + 6, 4, o, group + 128);
  std::memcpy(group + 640 + 2 * o, block, 2);
}
void pack_q5_1(const std::byte* block, size_t o, std::byte* group) {
  const uint32_t high = load_u32(block + 4);
  put_plane([&](size_t k) { return high >> k & 1u; }, o, group);
  copy_words(block + 8, 4, o, group + 128);
  std::memcpy(group + 640 + 2 * o, block, 2);
  std::memcpy(group + 704 + 2 * o, block + 2, 2);
}
void pack_mxfp4(const std::byte* block, size_t o, std::byte* group) {
  copy_words(block + 1, 4, o, group);
  group[512 + o] = block[0];
}

void put_six(std::byte* at, size_t j, size_t o, unsigned value) {
  std::byte& nibble = at[16 * (j % 4) + o];
  std::byte& upper = at[64 + 16 * (j % 2) + o];
  nibble |= static_cast<std::byte>((value & 15u) << (4 * (j / 4)));
  upper |= static_cast<std::byte>((value >> 4) << (2 * (j / 2)));
}

// Q4_K (high == null) and Q5_K: scales, minima and codes of one output into a block that begins with 512 zero bytes.
void pack_k(const std::byte* super, const std::byte* high, const std::byte* codes, size_t o, std::byte* block) {
  const auto byte = [](const std::byte* p, size_t i) { return std::to_integer<unsigned>(p[i]); };
  std::byte* header = block + 256 * (o / 16);
  const size_t lane = o % 16;
  std::memcpy(header + 192 + 2 * lane, super, 2);
  std::memcpy(header + 224 + 2 * lane, super + 2, 2);
  const std::byte* packed = super + 4;
  const size_t group_bytes = high == nullptr ? 512 : 640;
  for (size_t j = 0; j < 8; ++j) {
    const unsigned scale = j < 4 ? byte(packed, j) & 63u : (byte(packed, j + 4) & 15u) | byte(packed, j - 4) >> 6 << 4;
    const unsigned minimum = j < 4 ? byte(packed, j + 4) & 63u : byte(packed, j + 4) >> 4 | byte(packed, j) >> 6 << 4;
    put_six(header, j, lane, scale);
    put_six(header + 96, j, lane, minimum);
    std::byte* group = block + 512 + group_bytes * j;
    if (high != nullptr) {
      put_plane([&](size_t k) { return byte(high, k) >> j & 1u; }, o, group);
      group += 128;
    }
    std::byte pairs[16];
    const std::byte* from = codes + 32 * (j / 2);
    const unsigned shift = 4 * (j % 2);
    for (size_t i = 0; i < 16; ++i) {
      pairs[i] = static_cast<std::byte>((byte(from, i) >> shift & 15u) | (byte(from, 16 + i) >> shift & 15u) << 4);
    }
    copy_words(pairs, 4, o, group);
  }
}

void pack_q6_k(const std::byte* super, size_t o, std::byte* block) {
  for (size_t j = 0; j < 16; ++j) block[32 * j + o] = super[192 + j];
  std::memcpy(block + 512 + 2 * o, super + 208, 2);
  for (size_t g = 0; g < 8; ++g) {
    const size_t h = g / 4, quarter = g % 4;
    const std::byte* low = super + 64 * h + 32 * (quarter % 2);
    const std::byte* high = super + 128 + 32 * h;
    unsigned code[32];
    for (size_t i = 0; i < 32; ++i) {
      code[i] = (std::to_integer<unsigned>(low[i]) >> (quarter / 2 * 4) & 15u) | (std::to_integer<unsigned>(high[i]) >> (2 * quarter) & 3u)
                                                                                     << 4;
    }
    std::byte* group = block + 576 + 768 * g;
    std::byte pairs[16];
    for (size_t i = 0; i < 16; ++i) pairs[i] = static_cast<std::byte>((code[i] & 15u) | (code[16 + i] & 15u) << 4);
    copy_words(pairs, 4, o, group + 256);
    for (size_t half = 0; half < 2; ++half) {
      for (size_t b = 0; b < 4; ++b) {
        unsigned byte = 0;
        for (size_t i = 0; i < 4; ++i) byte |= code[16 * half + 4 * i + b] >> 4 << (2 * i);
        group[128 * half + 4 * o + b] = static_cast<std::byte>(byte);
      }
    }
  }
}

}  // namespace

const char* layout_name(Format format) { return shape(format).layout; }
size_t panel_bytes(Format format, size_t k) { return k / shape(format).block_k * shape(format).block_bytes; }
size_t packed_bytes(Format format, size_t n, size_t k) { return panel_count(n) * panel_bytes(format, k); }

Result<size_t> packed_bytes_checked(Format format, uint64_t n, uint64_t k) {
  if (n == 0 || k == 0 || k % info(format).block_elements != 0) {
    return error(Code::invalid_argument, "a %s weight of %llu x %llu cannot be packed: both must be positive and K a multiple of %u",
                 name(format), static_cast<unsigned long long>(n), static_cast<unsigned long long>(k), info(format).block_elements);
  }
  const auto panel = checked_mul<uint64_t>(k / shape(format).block_k, shape(format).block_bytes);
  const auto all = panel ? checked_mul<uint64_t>(n / kN + (n % kN != 0 ? 1 : 0), *panel) : std::nullopt;
  const auto size = all ? checked_cast<size_t>(*all) : std::nullopt;
  if (!size) {
    return error(Code::invalid_argument, "a %s weight of %llu x %llu does not fit the address space", name(format),
                 static_cast<unsigned long long>(n), static_cast<unsigned long long>(k));
  }
  return *size;
}

void pack_panel(Format format, const std::byte* rows_data, size_t rows, size_t k, std::byte* panel) {
  const size_t row_size = row_bytes(format, k), block_k = shape(format).block_k, block_bytes = shape(format).block_bytes;
  const size_t file_block = info(format).block_bytes;
  const bool has_header = block_k == 256;
  if (rows < kN || has_header) std::memset(panel, 0, panel_bytes(format, k));  // headers are filled bit by bit
  for (size_t b = 0; b < k / block_k; ++b, panel += block_bytes) {
    for (size_t o = 0; o < rows; ++o) {
      const std::byte* from = rows_data + o * row_size + b * file_block;
      switch (format) {
        case Format::f32:
          std::memcpy(panel + 4 * o, from, 4);
          break;
        case Format::f16:
        case Format::bf16:
          std::memcpy(panel + 2 * o, from, 2);
          break;
        case Format::q8_0:
          pack_q8_0(from, o, panel);
          break;
        case Format::q4_0:
        case Format::iq4_nl:
          pack_q4_0(from, o, panel);
          break;
        case Format::q4_1:
          pack_q4_1(from, o, panel);
          break;
        case Format::q5_0:
          pack_q5_0(from, o, panel);
          break;
        case Format::q5_1:
          pack_q5_1(from, o, panel);
          break;
        case Format::q4_k:
          pack_k(from, nullptr, from + 16, o, panel);
          break;
        case Format::q5_k:
          pack_k(from, from + 16, from + 48, o, panel);
          break;
        case Format::q6_k:
          pack_q6_k(from, o, panel);
          break;
        case Format::mxfp4:
          pack_mxfp4(from, o, panel);
          break;
      }
    }
  }
}

Status pack_weights(Format format, size_t n, size_t k, std::span<const std::byte> rows, std::span<std::byte> packed) {
  KL_ASSIGN(const size_t size, packed_bytes_checked(format, n, k));
  const auto wanted = checked_mul<uint64_t>(n, row_bytes(format, k));
  if (!wanted || rows.size() != *wanted || packed.size() != size) {
    return error(Code::invalid_argument, "packing %s %zu x %zu: expected %zu bytes of rows and %zu of room, got %zu and %zu", name(format),
                 n, k, wanted ? static_cast<size_t>(*wanted) : 0, size, rows.size(), packed.size());
  }
  for (size_t first = 0; first < n; first += kN) {
    pack_panel(format, rows.data() + first * row_bytes(format, k), n - first < kN ? n - first : kN, k,
               packed.data() + first / kN * panel_bytes(format, k));
  }
  return {};
}

}  // namespace kl::cpu
