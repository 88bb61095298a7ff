// The dense attention kernels of every instruction set this machine runs, against double precision and against themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/isa.h"
#include "cpu/recording.h"

namespace kl::cpu {
namespace {

struct Case {
  uint32_t heads = 2, head_size = 64;
  std::vector<uint32_t> ranges = {40};  // rows of each
};

std::string text(const Case& c) {
  std::string out = "H=" + std::to_string(c.heads) + " D=" + std::to_string(c.head_size) + " ranges";
  for (const uint32_t r : c.ranges) out += " " + std::to_string(r);
  return out;
}

std::vector<Isa> isas_here() {
  std::vector<Isa> isas;
  std::copy_if(std::begin(kIsas), std::end(kIsas), std::back_inserter(isas), isa_available);
  return isas;
}

// Memory of which every byte that nobody writes is 0xff, NaN as a float, with guards of the same on both sides.
class Guarded {
 public:
  explicit Guarded(size_t floats) : floats_(floats), memory_((floats + 2 * kGuard + 16) * sizeof(float), 0xff) {
    auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard * sizeof(float);
    address = (address + 63) / 64 * 64;
    begin_ = reinterpret_cast<float*>(address);
  }
  float* data() { return begin_; }
  bool intact() const {
    const auto* first = reinterpret_cast<const uint8_t*>(begin_);
    const auto untouched = [](uint8_t b) { return b == 0xff; };
    return std::all_of(memory_.data(), first, untouched) &&
           std::all_of(first + floats_ * sizeof(float), memory_.data() + memory_.size(), untouched);
  }

 private:
  static constexpr size_t kGuard = 64;
  size_t floats_;
  std::vector<uint8_t> memory_;
  float* begin_ = nullptr;
};

struct Rows {
  std::vector<float> q, k, v;
};

// Of a range: the same wherever it lies.
Rows rows_of(const Case& c, uint32_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Rows r;
  for (auto* each : {&r.q, &r.k, &r.v}) {
    each->resize(size_t{rows} * c.heads * c.head_size);
    for (float& x : *each) x = 1.3f * normal(random);
  }
  return r;
}

float scale_of(const Case& c) { return 1.0f / std::sqrt(static_cast<float>(c.head_size)); }

// All ranges of a step, range i seeded with its length.
std::vector<float> run(Isa isa, const Case& c) {
  const CpuAttentionKernels& kernels = attention_kernels(isa);
  const size_t width = size_t{c.heads} * c.head_size;
  Rows all;
  std::vector<RangeTile> tiles;
  uint32_t rows = 0;
  for (const uint32_t length : c.ranges) {
    const Rows r = rows_of(c, length, length);
    all.q.insert(all.q.end(), r.q.begin(), r.q.end());
    all.k.insert(all.k.end(), r.k.begin(), r.k.end());
    all.v.insert(all.v.end(), r.v.begin(), r.v.end());
    for (uint32_t row = 0; row < length; row += kDenseTileRows)
      tiles.push_back({rows + row, rows + std::min(length, row + kDenseTileRows), rows, rows + length});
    rows += length;
  }
  Guarded packed(c.heads * dense_head_floats(rows, c.head_size)), scratch(dense_scratch_bytes(c.head_size) / sizeof(float)),
      out(rows * width);
  DenseAttentionArgs a;
  a.q = all.q.data(), a.k = all.k.data(), a.v = all.v.data(), a.out = out.data(), a.stride = width;
  a.heads = c.heads, a.head_size = c.head_size, a.scale = scale_of(c), a.packed = packed.data(), a.capacity = rows;
  std::mt19937 random(9);
  std::shuffle(tiles.begin(), tiles.end(), random);  // tasks come in any order
  for (const RangeTile& tile : tiles) {
    for (uint32_t block = 0; block < kDenseTileBlocks; ++block) kernels.dense_pack(a, tile, block);
  }
  for (const RangeTile& tile : tiles) {
    for (uint32_t head = 0; head < c.heads; ++head) kernels.dense_attention(a, tile, head, reinterpret_cast<std::byte*>(scratch.data()));
  }
  EXPECT_TRUE(packed.intact() && scratch.intact() && out.intact()) << name(isa) << " " << text(c);
  return {out.data(), out.data() + rows * width};
}

std::vector<double> reference(const Case& c) {
  std::vector<double> out;
  const size_t width = size_t{c.heads} * c.head_size;
  for (const uint32_t length : c.ranges) {
    const Rows r = rows_of(c, length, length);
    for (uint32_t t = 0; t < length; ++t) {
      for (uint32_t h = 0; h < c.heads; ++h) {
        std::vector<double> p(length), sum(c.head_size, 0.0);
        for (uint32_t j = 0; j < length; ++j) {
          for (uint32_t d = 0; d < c.head_size; ++d) {
            p[j] += static_cast<double>(r.q[t * width + h * c.head_size + d]) * static_cast<double>(r.k[j * width + h * c.head_size + d]);
          }
        }
        double total = 0;
        const double most = *std::max_element(p.begin(), p.end());
        for (uint32_t j = 0; j < length; ++j) {
          const double weight = std::exp((p[j] - most) * static_cast<double>(scale_of(c)));
          total += weight;
          for (uint32_t d = 0; d < c.head_size; ++d) sum[d] += weight * static_cast<double>(r.v[j * width + h * c.head_size + d]);
        }
        for (const double x : sum) out.push_back(x / total);
      }
    }
  }
  return out;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const uint32_t size : {1u, 8u, 20u, 32u, 64u, 72u, 80u, 96u, 112u, 128u, 144u}) all.push_back({2, size, {37, 3}});
  all.push_back({1, 64, {1, 2, 5, 6, 7, 31, 32, 33, 64, 95, 96, 97, 103}});
  all.push_back({1, 32, {255, 256, 257, 300, 520}});
  return all;
}

TEST(DenseAttentionKernels, AgreeWithDoublePrecision) {
  for (const Case& c : cases()) {
    const std::vector<double> expected = reference(c);
    for (const Isa isa : isas_here()) {
      if (isa == Isa::generic && c.ranges.back() == 520) continue;  // software fma: the other cases say as much
      const std::vector<float> out = run(isa, c);
      ASSERT_EQ(out.size(), expected.size());
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(out[i]), expected[i], 1e-5)
            << name(isa) << " " << text(c) << " element " << i;  // outputs are of size 1
      }
    }
  }
}

TEST(DenseAttentionKernels, EveryInstructionSetGivesTheSameBits) {
  const std::vector<Isa> all = isas_here();
  for (const Case& c : cases()) {
    if (c.ranges.back() == 520) continue;
    const std::vector<float> first = run(all.front(), c);
    for (const Isa isa : all) {
      const std::vector<float> out = run(isa, c);
      EXPECT_EQ(std::memcmp(first.data(), out.data(), out.size() * sizeof(float)), 0) << name(isa) << " " << text(c);
    }
  }
}

TEST(DenseAttentionKernels, ARangeHasTheSameBitsWhereverItLies) {
  for (const uint32_t length : {1u, 50u, 290u}) {
    const Case alone{1, 40, {length}};
    const std::vector<float> wanted = run(best_isa(), alone);
    for (const std::vector<uint32_t>& before : {std::vector<uint32_t>{1}, {33}, {100, 7}}) {
      Case c = alone;
      c.ranges = before;
      c.ranges.push_back(length);
      c.ranges.push_back(9);
      const std::vector<float> out = run(best_isa(), c);
      size_t first = 0;
      for (const uint32_t r : before) first += r;
      EXPECT_EQ(std::memcmp(wanted.data(), out.data() + first * 40, wanted.size() * sizeof(float)), 0) << text(c);
    }
  }
}

TEST(DenseAttentionKernels, ScoresFarApartLeaveTheGreatest) {
  // One key is so much better than every other that only its value remains; two ranges of more than one span, the key in either.
  for (const uint32_t best : {3u, 299u}) {
    const uint32_t rows = 300, size = 8;
    std::vector<float> q(rows * size, 10.0f), k(rows * size, -10.0f), v(rows * size), out(rows * size);
    for (uint32_t j = 0; j < rows; ++j) std::fill_n(v.begin() + j * size, size, static_cast<float>(j));
    std::fill_n(k.begin() + best * size, size, 10.0f);
    Guarded packed(dense_head_floats(rows, size)), scratch(dense_scratch_bytes(size) / sizeof(float));
    DenseAttentionArgs a;
    a.q = q.data(), a.k = k.data(), a.v = v.data(), a.out = out.data(), a.stride = size, a.heads = 1, a.head_size = size;
    a.packed = packed.data(), a.capacity = rows;
    for (const Isa isa : isas_here()) {
      const CpuAttentionKernels& kernels = attention_kernels(isa);
      for (uint32_t row = 0; row < rows; row += kDenseTileRows) {
        for (uint32_t block = 0; block < kDenseTileBlocks; ++block)
          kernels.dense_pack(a, {row, std::min(rows, row + kDenseTileRows), 0, rows}, block);
      }
      kernels.dense_attention(a, {192, 200, 0, rows}, 0, reinterpret_cast<std::byte*>(scratch.data()));
      for (uint32_t i = 192 * size; i < 200 * size; ++i) EXPECT_EQ(out[i], static_cast<float>(best)) << name(isa);
    }
  }
}

}  // namespace
}  // namespace kl::cpu
