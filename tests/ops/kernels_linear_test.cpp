// The linear kernels of every instruction set this machine runs, against scalar oracles.
#include <gtest/gtest.h>

#include <cmath>

#include "core/formats.h"
#include "cpu/isa/isa.h"
#include "cpu/pack/pack.h"
#include "ops/kernels_oracle.h"

namespace kl::cpu {
namespace {

using oracle::Random;

// Memory that begins on a cache line.
struct Buffer {
  explicit Buffer(size_t bytes) : storage(bytes + 64) {}
  std::byte* data() { return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(storage.data()) + 63) & ~uintptr_t{63}); }
  std::vector<std::byte> storage;
};

struct Case {
  Case(Format format_, size_t n_, size_t k_, size_t rows_, Random& random)
      : format(format_),
        n(n_),
        k(k_),
        rows(rows_),
        canonical(oracle::random_rows(format, n, k, random)),
        x(oracle::random_floats(rows * k, random, 3.0f)),
        packed(packed_bytes(format, n, k)),
        q8(q8_bytes(rows, k)) {
    const Status status = pack_weights(format, n, k, canonical, {packed.data(), packed_bytes(format, n, k)});
    EXPECT_TRUE(status.ok()) << status.message();
  }
  LinearArgs args(const CpuKernels& kernel, std::vector<float>& y) {
    LinearArgs a;
    a.w = {packed.data(), format, nullptr};
    a.n = n, a.k = k, a.rows = rows;
    a.y = y.data(), a.y_stride = n;
    if (reads_q8(format)) {
      kernel.quantize({x.data(), k, rows, k, q8.data()}, 0, rows);
      a.q8 = q8.data();
    } else {
      a.x = x.data(), a.x_stride = k;
    }
    return a;
  }
  float expected(size_t t, size_t o) const {
    const std::byte* row = canonical.data() + o * row_bytes(format, k);
    return reads_q8(format) ? oracle::dot_q8(format, row, oracle::quantize(&x[t * k], k)) : oracle::dot_f32(format, row, &x[t * k], k);
  }

  Format format;
  size_t n, k, rows;
  std::vector<std::byte> canonical;
  std::vector<float> x;
  Buffer packed, q8;
};

std::vector<float> run(Case& c, Isa isa) {
  std::vector<float> y(c.rows * c.n, -1e30f);
  const CpuKernels& kernel = kernels(isa);
  kernel.linear(c.args(kernel, y), 0, panel_count(c.n), 0, tile_count(c.rows));
  return y;
}

TEST(LinearKernels, EveryFormatAndRowCountEqualsTheScalarOrderBitForBit) {
  Random random(1);
  for (const Format format : oracle::kAllFormats) {
    for (const size_t rows : {1, 2, 3, 4, 5, 6, 8, 13}) {
      const size_t k = info(format).block_elements == 256 ? 512 : reads_q8(format) ? 160 : 37;
      Case c(format, 71, k, rows, random);
      std::vector<float> expected(rows * c.n);
      for (size_t t = 0; t < rows; ++t) {
        for (size_t o = 0; o < c.n; ++o) expected[t * c.n + o] = c.expected(t, o);
      }
      for (const Isa isa : oracle::isas()) {
        const std::vector<float> y = run(c, isa);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_TRUE(oracle::same_bits(y[i], expected[i])) << name(format) << " " << name(isa) << " rows " << rows << " row " << i / c.n
                                                            << " output " << i % c.n << ": " << y[i] << ", expected " << expected[i];
        }
      }
    }
  }
}

// Bound: each group adds a rounding of the product of scales and one or two fmas; every partial sum is at most sum |w||x| of its parts, where a weight
// with a minimum is two parts. With u = 2^-24: (number of fmas + 2) u sum(|code part| + |minimum part|)|x|.
TEST(LinearKernels, StayWithinTheRoundingBoundOfTheDoubleProduct) {
  Random random(2);
  for (const Format format : oracle::kAllFormats) {
    const size_t k = reads_q8(format) ? 1536 : 300, rows = 3;
    Case c(format, 40, k, rows, random);
    for (const Isa isa : oracle::isas()) {
      const std::vector<float> y = run(c, isa);
      std::vector<float> w(k);
      for (size_t o = 0; o < c.n; ++o) {
        dequantize_row(format, c.canonical.data() + o * row_bytes(format, k), w.data(), k);
        for (size_t t = 0; t < rows; ++t) {
          const auto quantized = oracle::quantize(&c.x[t * k], reads_q8(format) ? k : 0);
          double sum = 0, size = 0;
          for (size_t i = 0; i < k; ++i) {
            const size_t g = i / 32;
            const double in =
                reads_q8(format) ? static_cast<double>(quantized[g].scale) * quantized[g].q[i % 32] : static_cast<double>(c.x[t * k + i]);
            sum += w[i] * in;
            double part = std::fabs(w[i]);
            if (reads_q8(format)) {
              const auto group = oracle::weight_group(format, c.canonical.data() + o * row_bytes(format, k), g);
              part += 2 * std::fabs(static_cast<double>(group.minimum));
            }
            size += part * std::fabs(in);
          }
          const double fmas = static_cast<double>(k) * (reads_q8(format) ? 2.0 / 32 : 1.0);
          ASSERT_LE(std::fabs(y[t * c.n + o] - sum), (fmas + 4) * 0x1p-24 * size + 1e-30) << name(format) << " " << name(isa);
        }
      }
    }
  }
}

TEST(LinearKernels, ARowAloneHasTheBitsItHasAmongOthers) {
  Random random(3);
  for (const Format format : oracle::kAllFormats) {
    const size_t k = 256;
    Case many(format, 64, k, 11, random);
    for (const Isa isa : oracle::isas()) {
      const CpuKernels& kernel = kernels(isa);
      const std::vector<float> all = run(many, isa);
      for (size_t t = 0; t < many.rows; ++t) {
        std::vector<float> alone(many.n);
        LinearArgs a = many.args(kernel, alone);
        Buffer q8(q8_bytes(1, k));
        if (reads_q8(format)) {
          kernel.quantize({&many.x[t * k], k, 1, k, q8.data()}, 0, 1);
          a.q8 = q8.data();
        } else {
          a.x = &many.x[t * k];
        }
        a.rows = 1;
        kernel.linear(a, 0, 2, 0, 1);
        EXPECT_TRUE(oracle::same_bits(alone.data(), &all[t * many.n], many.n)) << name(format) << " " << name(isa) << " row " << t;
      }
    }
  }
}

TEST(LinearKernels, PanelsAndTilesMayBeSplitInAnyWay) {
  Random random(4);
  Case c(Format::q4_1, 100, 96, 20, random);
  for (const Isa isa : oracle::isas()) {
    const CpuKernels& kernel = kernels(isa);
    const std::vector<float> whole = run(c, isa);
    std::vector<float> y(c.rows * c.n, 7.0f);
    const LinearArgs a = c.args(kernel, y);
    for (size_t tile = 0; tile < 4; ++tile) {
      kernel.linear(a, 3, 4, tile, tile + 1);
      kernel.linear(a, 0, 1, tile, tile + 1);
    }
    kernel.linear(a, 1, 3, 0, 4);
    EXPECT_EQ(y, whole) << name(isa);
  }
}

// The largest codes against the largest activations: 16-bit sums inside the dots must not saturate.
TEST(LinearKernels, ExtremeCodesDoNotSaturate) {
  Random random(5);
  for (const Format format : oracle::kAllFormats) {
    if (!reads_q8(format)) continue;
    for (const unsigned fill : {0x00u, 0x80u, 0xffu, 0x7fu}) {
      Case c(format, 32, 256, 7, random);
      const std::vector<std::byte> before = c.canonical;
      for (size_t i = 0; i < c.canonical.size(); ++i) {
        const size_t in = i % info(format).block_bytes;
        const bool scale = format == Format::q6_k ? in >= 208 : format == Format::mxfp4 ? in < 1 : in < 4;
        if (!scale) c.canonical[i] = static_cast<std::byte>(fill);
      }
      for (size_t i = 0; i < c.x.size(); ++i) c.x[i] = (i / c.k) % 2 != 0 && i % 3 == 0 ? -2.5f : 2.5f;
      ASSERT_TRUE(pack_weights(format, c.n, c.k, c.canonical, {c.packed.data(), packed_bytes(format, c.n, c.k)}).ok());
      for (const Isa isa : oracle::isas()) {
        const std::vector<float> y = run(c, isa);
        for (size_t i = 0; i < y.size(); ++i) {
          const float expected = c.expected(i / c.n, i % c.n);
          ASSERT_TRUE(oracle::same_bits(y[i], expected)) << name(format) << " " << name(isa) << " " << y[i] << " expected " << expected;
        }
      }
    }
  }
}

TEST(LinearKernels, BiasActivationGateAndResidualFollowInTheDocumentedOrder) {
  Random random(6);
  const size_t n = 45, k = 96, rows = 8;
  Case gate(Format::q4_0, n, k, rows, random), up(Format::q8_0, n, k, rows, random);
  const std::vector<float> bias = oracle::random_floats(n, random), up_bias = oracle::random_floats(n, random);
  const std::vector<float> residual = oracle::random_floats(rows * n, random);
  up.x = gate.x;
  for (const Isa isa : oracle::isas()) {
    const CpuKernels& kernel = kernels(isa);
    const std::vector<float> gates = run(gate, isa), ups = run(up, isa);
    for (const Activation activation :
         {Activation::none, Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::gelu_quick}) {
      for (int parts = 0; parts < 8; ++parts) {
        const bool with_bias = (parts & 1) != 0, gated = (parts & 2) != 0, with_residual = (parts & 4) != 0;
        std::vector<float> y = with_residual ? residual : std::vector<float>(rows * n);
        LinearArgs a = gate.args(kernel, y);
        a.activation = activation;
        if (with_bias) a.w.bias = bias.data();
        if (gated) a.up = {up.packed.data(), up.format, with_bias ? up_bias.data() : nullptr};
        if (with_residual) a.residual = y.data(), a.residual_stride = n;  // in place
        kernel.linear(a, 0, panel_count(n), 0, tile_count(rows));
        for (size_t i = 0; i < y.size(); ++i) {
          float value = with_bias ? gates[i] + bias[i % n] : gates[i];
          float acted = value;
          kernel.activate({&value, 1, nullptr, 0, &acted, 1, 1, activation}, 0, 1);
          if (gated) acted *= with_bias ? ups[i] + up_bias[i % n] : ups[i];
          if (with_residual) acted = residual[i] + acted;
          ASSERT_TRUE(oracle::same_bits(y[i], acted)) << name(isa) << " " << name(activation) << " parts " << parts << " at " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kl::cpu
