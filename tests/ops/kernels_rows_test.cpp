// Norms, quantizing and activations of every instruction set this machine runs.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "cpu/isa/isa.h"
#include "cpu/simd/generic.h"
#include "cpu/simd/math.h"
#include "ops/kernels_oracle.h"

namespace kl::cpu {
namespace {

using oracle::Random;

template <class T>
T word(const std::vector<std::byte>& tiles, size_t at) {
  T value;
  std::memcpy(&value, tiles.data() + at, 4);
  return value;
}

TEST(QuantizeKernel, TilesHoldWhatTheHeaderSays) {
  Random random(21);
  const size_t k = 96;
  for (const size_t rows : {1, 5, 6, 7, 16}) {
    std::vector<float> x = oracle::random_floats(rows * k, random, 40.0f);
    for (size_t i = 0; i < 32; ++i) x[i] = i == 3 ? 1e-38f : 0.0f;  // a group that counts as zero
    for (const Isa isa : oracle::isas()) {
      std::vector<std::byte> tiles(q8_bytes(rows, k));
      kernels(isa).quantize({x.data(), k, rows, k, tiles.data()}, 0, rows);
      for (size_t t = 0; t < rows; ++t) {
        const auto groups = oracle::quantize(&x[t * k], k);
        const size_t tile = t / kTileRows, r = t % kTileRows, in_tile = std::min(kTileRows, rows - tile * kTileRows);
        for (size_t g = 0; g < k / 32; ++g) {
          const size_t at = q8_tile_offset(tile, k) + g * kQ8GroupBytes * in_tile;
          EXPECT_EQ(word<float>(tiles, at + 4 * r), groups[g].scale);
          EXPECT_EQ(word<float>(tiles, at + 4 * (in_tile + r)), groups[g].scale * static_cast<float>(groups[g].sum(0, 32)));
          EXPECT_EQ(word<int32_t>(tiles, at + 4 * (2 * in_tile + r)), -8 * groups[g].sum(0, 32));
          EXPECT_EQ(word<int32_t>(tiles, at + 4 * (3 * in_tile + r)), -32 * groups[g].sum(0, 16));
          EXPECT_EQ(word<int32_t>(tiles, at + 4 * (4 * in_tile + r)), -32 * groups[g].sum(16, 32));
          for (size_t i = 0; i < 32; ++i) {
            ASSERT_EQ(static_cast<int8_t>(tiles[at + 20 * in_tile + 4 * (i / 4 * in_tile + r) + i % 4]), groups[g].q[i]) << name(isa);
          }
        }
      }
    }
  }
}

TEST(QuantizeKernel, ValuesThatAreNotFiniteMakeTheScaleNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    for (const Isa isa : oracle::isas()) {
      std::vector<float> x(32, 1.0f);
      x[17] = bad;
      std::vector<std::byte> tiles(q8_bytes(1, 32));
      kernels(isa).quantize({x.data(), 32, 1, 32, tiles.data()}, 0, 1);
      EXPECT_FALSE(std::isfinite(word<float>(tiles, 0))) << name(isa) << " " << bad;
    }
  }
}

// The order of NormArgs, in scalars.
float lanes_sum(size_t k, const std::function<float(size_t, float)>& add) {
  float lanes[32] = {};
  for (size_t i = 0; i < k; ++i) lanes[i % 32] = add(i, lanes[i % 32]);
  for (int distance = 16; distance > 0; distance /= 2) {
    for (int i = 0; i < distance; ++i) lanes[i] += lanes[i + distance];
  }
  return lanes[0];
}

TEST(NormKernels, EqualTheScalarOrderBitForBitAndTheDoubleWithinRounding) {
  Random random(22);
  for (const size_t k : {32, 576, 100, 7}) {
    const size_t rows = 3;
    const std::vector<float> x = oracle::random_floats(rows * k, random, 5.0f), gain = oracle::random_floats(k, random),
                             bias = oracle::random_floats(k, random), residual = oracle::random_floats(rows * k, random);
    const float eps = 1e-5f, count = static_cast<float>(k);
    for (const bool layer : {false, true}) {
      for (const bool add : {false, true}) {
        std::vector<float> expected(rows * k);
        for (size_t t = 0; t < rows; ++t) {
          const float* row = &x[t * k];
          const float mean = layer ? lanes_sum(k, [&](size_t i, float s) { return s + row[i]; }) / count : 0.0f;
          const float squares = lanes_sum(k, [&](size_t i, float s) { return std::fma(row[i] - mean, row[i] - mean, s); });
          const float factor = 1.0f / std::sqrt(squares / count + eps);
          double exact_mean = 0, exact_squares = 0;
          for (size_t i = 0; i < k && layer; ++i) exact_mean += row[i] / static_cast<double>(k);
          for (size_t i = 0; i < k; ++i) exact_squares += (row[i] - exact_mean) * (row[i] - exact_mean) / static_cast<double>(k);
          for (size_t i = 0; i < k; ++i) {
            const float centred = (layer ? row[i] - mean : row[i]) * factor;
            float value = layer ? std::fma(centred, gain[i], bias[i]) : centred * gain[i];
            const double exact = (row[i] - exact_mean) / std::sqrt(exact_squares + eps) * gain[i] + (layer ? bias[i] : 0.0f);
            EXPECT_NEAR(value, exact, 4e-6) << "k " << k;  // values up to 5, about 10 roundings
            if (add) value = residual[t * k + i] + value;
            expected[t * k + i] = value;
          }
        }
        for (const Isa isa : oracle::isas()) {
          const CpuKernels& kernel = kernels(isa);
          std::vector<float> y = residual;
          NormArgs a;
          a.x = x.data(), a.x_stride = k, a.gain = gain.data(), a.bias = layer ? bias.data() : nullptr, a.eps = eps, a.rows = rows, a.k = k;
          a.y = y.data(), a.y_stride = k;
          if (add) a.residual = y.data(), a.residual_stride = k;
          std::vector<std::byte> fused(k % 32 == 0 ? q8_bytes(rows, k) : 0), separate = fused;
          if (!fused.empty()) a.q8 = fused.data();
          (layer ? kernel.layer_norm : kernel.rms_norm)(a, 0, rows);
          for (size_t i = 0; i < y.size(); ++i) {
            ASSERT_TRUE(oracle::same_bits(y[i], expected[i]))
                << name(isa) << " k " << k << " at " << i << ": " << y[i] << " " << expected[i];
          }
          if (!fused.empty()) {
            kernel.quantize({y.data(), k, rows, k, separate.data()}, 0, rows);
            EXPECT_EQ(fused, separate) << "norm and quantize in one pass";
          }
        }
      }
    }
  }
}

double exact_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu_quick:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::gelu_erf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::none:
      break;
  }
  return x;
}

TEST(ActivationKernels, StayWithinTheirBoundsAndAgreeOnEveryInstructionSet) {
  std::vector<float> x;
  for (float v = -90.0f; v < 90.0f; v += 0.0113f) x.push_back(v);
  for (float v = 1e-30f; v < 1e30f; v *= 1.7f) x.insert(x.end(), {v, -v});
  x.insert(x.end(), {0.0f, -0.0f, std::numeric_limits<float>::max()});
  for (const Activation activation :
       {Activation::none, Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::gelu_quick}) {
    std::vector<float> first;
    for (const Isa isa : oracle::isas()) {
      std::vector<float> y(x.size());
      kernels(isa).activate({x.data(), x.size(), nullptr, 0, y.data(), x.size(), x.size(), activation}, 0, 1);
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = exact_activation(activation, x[i]);
        ASSERT_LE(std::fabs(y[i] - exact), 5e-7 * std::fabs(exact) + 3e-7 * std::fmin(1.0, std::fabs(x[i])))
            << name(activation) << " " << name(isa) << " of " << x[i];
      }
      if (first.empty()) first = y;
      EXPECT_TRUE(oracle::same_bits(y.data(), first.data(), y.size())) << name(activation) << " " << name(isa);
    }
  }
}

TEST(ActivationKernels, NotANumberStaysNotANumber) {
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::gelu_quick}) {
    for (const Isa isa : oracle::isas()) {
      const float x = std::numeric_limits<float>::quiet_NaN();
      float y = 0;
      kernels(isa).activate({&x, 1, nullptr, 0, &y, 1, 1, activation}, 0, 1);
      EXPECT_TRUE(std::isnan(y)) << name(activation) << " " << name(isa);
    }
  }
}

TEST(Math, ExpAndTanhKeepTheBoundsTheyState) {
  double worst_exp = 0, worst_tanh = 0, worst_small_tanh = 0;
  for (float x = -87.33f; x < 88.0f; x += 0.00173f) {
    const double e = std::exp(static_cast<double>(x)), t = std::tanh(static_cast<double>(x));
    worst_exp = std::fmax(worst_exp, std::fabs(exp<Generic>(Generic::set(x))[0] - e) / e);
    worst_tanh = std::fmax(worst_tanh, std::fabs(tanh<Generic>(Generic::set(x))[0] - t));
  }
  for (float x = 1e-20f; x < 0.25f; x *= 1.003f) {
    worst_small_tanh = std::fmax(worst_small_tanh, std::fabs(tanh<Generic>(Generic::set(-x))[0] / std::tanh(-static_cast<double>(x)) - 1));
  }
  EXPECT_LT(worst_exp, 1.5e-7);
  EXPECT_LT(worst_tanh, 2e-7);
  EXPECT_LT(worst_small_tanh, 3e-7);
}

TEST(GenericLanes, FmaRoundsOnceLikeTheHardwares) {
  Random random(23);
  for (int i = 0; i < 200000; ++i) {
    float v[3];
    for (float& f : v) {
      uint32_t bits = static_cast<uint32_t>(random());
      if (i % 4 != 0) bits = (bits & 0x807fffffu) | (100 + bits % 50) << 23;  // near in size, so that sums cancel and round
      std::memcpy(&f, &bits, 4);
      if (!std::isfinite(f)) f = 1.0f;
    }
    if (i % 3 == 0) v[2] = -v[0] * v[1];
    const float got = Generic::fma(Generic::set(v[0]), Generic::set(v[1]), Generic::set(v[2]))[0], expected = std::fma(v[0], v[1], v[2]);
    ASSERT_TRUE(oracle::same_bits(got, expected)) << v[0] << " * " << v[1] << " + " << v[2] << " = " << got << ", not " << expected;
  }
}

}  // namespace
}  // namespace kl::cpu
