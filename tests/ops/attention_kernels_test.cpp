// The attention, rope and cache-writing kernels of every instruction set this machine runs, against double precision and against themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "backend/kv_page.h"
#include "cpu/isa/attention_kernels.h"
#include "cpu/isa/isa.h"
#include "cpu/kernels/attention_split.h"
#include "cpu/kernels/rope.h"

namespace kl::cpu {
namespace {

std::vector<const CpuAttentionKernels*> tables() {
  std::vector<const CpuAttentionKernels*> all{attention_kernels_generic()};
  if (isa_available(Isa::avx2)) all.push_back(attention_kernels_avx2());
  if (isa_available(Isa::avx512)) all.push_back(attention_kernels_avx512());
  if (isa_available(Isa::neon)) all.push_back(attention_kernels_neon());
  return all;
}

// 64-byte aligned memory with guard bytes on both sides, filled with a byte.
class Guarded {
 public:
  Guarded(size_t bytes, uint8_t fill) : bytes_(bytes), memory_(bytes + 2 * kGuard + 64, kMark) {
    const size_t at = reinterpret_cast<uintptr_t>(memory_.data()) % 64;
    begin_ = memory_.data() + kGuard + (64 - at) % 64;
    std::fill(begin_, begin_ + bytes, fill);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  std::byte* data() { return reinterpret_cast<std::byte*>(begin_); }
  bool intact() const {
    const uint8_t* end = begin_ + bytes_;
    return std::all_of(memory_.data(), static_cast<const uint8_t*>(begin_), [](uint8_t b) { return b == kMark; }) &&
           std::all_of(end, memory_.data() + memory_.size(), [](uint8_t b) { return b == kMark; });
  }

 private:
  static constexpr size_t kGuard = 256;
  static constexpr uint8_t kMark = 0xa5;
  size_t bytes_;
  std::vector<uint8_t> memory_;
  uint8_t* begin_ = nullptr;
};

struct Case {
  KvFormat format = KvFormat::f16;
  uint32_t head_size = 64, heads = 9, kv_heads = 3, length = 300;
  uint32_t window = 0;
  float cap = 0;
  bool sinks = false;
  std::vector<std::array<uint32_t, 2>> spans = {};  // slots that see each other both ways, ascending
};

std::string text(const Case& c) {
  return std::string(name(c.format)) + " D=" + std::to_string(c.head_size) + " H=" + std::to_string(c.heads) +
         " G=" + std::to_string(c.kv_heads) + " S=" + std::to_string(c.length) + " w=" + std::to_string(c.window) +
         (c.cap > 0 ? " cap" : "") + (c.sinks ? " sinks" : "") + (c.spans.empty() ? "" : " spans=" + std::to_string(c.spans.size()));
}

// One sequence's inputs, and a cache with every byte that nobody wrote set to 0xff: NaN as f32 and f16.
struct Sequence {
  Sequence(const Case& which, uint32_t placement)
      : c(which), shape{c.format, c.head_size, c.kv_heads}, layout(kv_page_layout(shape)), pool(kPages * layout.page_bytes, 0xff) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    const size_t q_width = size_t{c.heads} * c.head_size, kv_width = size_t{c.kv_heads} * c.head_size;
    q.resize(c.length * q_width);
    k.resize(c.length * kv_width);
    v.resize(c.length * kv_width);
    for (float& x : q) x = 1.5f * normal(random);
    for (float& x : k) x = normal(random);
    for (float& x : v) x = normal(random);
    for (uint32_t h = 0; h < c.heads; ++h) sinks.push_back(normal(random));
    positions.resize(c.length);
    std::iota(positions.begin(), positions.end(), 0);
    pages.resize(kPages);
    std::iota(pages.begin(), pages.end(), 0u);
    std::mt19937 place(placement);
    std::shuffle(pages.begin(), pages.end(), place);
    for (uint32_t t = 0; t < c.length; ++t) {
      row_spans.push_back(t);
      row_spans.push_back(t + 1);
    }
    for (const auto& [first, end] : c.spans) {
      for (uint32_t t = first; t < end; ++t) row_spans[2 * t] = first, row_spans[2 * t + 1] = end;
    }
  }
  AttentionArgs args(std::vector<float>& out) {
    AttentionArgs a;
    a.q = q.data();
    a.q_stride = a.out_stride = size_t{c.heads} * c.head_size;
    a.out = out.data();
    a.positions = positions.data();
    a.pages = pages.data();
    a.cache = {pool.data(), shape};
    a.heads = c.heads;
    a.window = c.window;
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_size));
    a.cap = c.cap;
    a.sinks = c.sinks ? sinks.data() : nullptr;
    a.row_spans = c.spans.empty() ? nullptr : row_spans.data();
    return a;
  }
  void write(const CpuAttentionKernels& kernels, uint32_t t0, uint32_t t1) {
    const size_t width = size_t{c.kv_heads} * c.head_size;
    kernels.kv_write({pool.data(), shape}, pages.data(), positions.data() + t0, k.data() + t0 * width, v.data() + t0 * width, width,
                     t1 - t0);
  }
  const std::byte* page_of(uint32_t position) { return pool.data() + pages[position / kKvPageTokens] * layout.page_bytes; }

  static constexpr uint32_t kPages = 48;
  Case c;
  KvPageShape shape;
  KvPageLayout layout;
  Guarded pool;
  std::vector<float> q, k, v, sinks;
  std::vector<int32_t> positions;
  std::vector<uint32_t> pages, row_spans;
};

// Rows [t0, t1), every KV head, in double from the decoded pages.
std::vector<double> reference(Sequence& s, const std::vector<uint32_t>& rows) {
  const Case& c = s.c;
  const uint32_t size = c.head_size, group = c.heads / c.kv_heads;
  std::vector<double> out;
  for (const uint32_t t : rows) {
    for (uint32_t h = 0; h < c.heads; ++h) {
      const uint32_t g = h / group, low = c.window == 0 || t + 1 < c.window ? 0 : t + 1 - c.window;
      const uint32_t high = std::max(s.row_spans[2 * t + 1], t + 1);
      std::vector<double> score, sum(size, 0.0);
      std::vector<float> row(size);
      double most = c.sinks ? static_cast<double>(s.sinks[h]) : -1e300;
      for (uint32_t j = low; j < high; ++j) {
        kv_decode_k(s.shape, s.page_of(j), g, j % kKvPageTokens, row.data());
        double dot = 0;
        for (uint32_t d = 0; d < size; ++d)
          dot += static_cast<double>(s.q[(size_t{t} * c.heads + h) * size + d]) * static_cast<double>(row[d]);
        dot /= std::sqrt(static_cast<double>(size));
        if (c.cap > 0) dot = static_cast<double>(c.cap) * std::tanh(dot / static_cast<double>(c.cap));
        score.push_back(dot);
        most = std::max(most, dot);
      }
      double total = c.sinks ? std::exp(static_cast<double>(s.sinks[h]) - most) : 0.0;
      for (uint32_t j = low; j < high; ++j) {
        const double p = std::exp(score[j - low] - most);
        total += p;
        kv_decode_v(s.shape, s.page_of(j), g, j % kKvPageTokens, row.data());
        for (uint32_t d = 0; d < size; ++d) sum[d] += p * static_cast<double>(row[d]);
      }
      for (const double x : sum) out.push_back(x / total);
    }
  }
  return out;
}

// Write and attend chunk by chunk; a chunk that would end inside a span goes on to the span's end.
std::vector<float> in_chunks(const CpuAttentionKernels& kernels, const Case& c, uint32_t chunk, uint32_t placement = 1) {
  Sequence s(c, placement);
  std::vector<float> out(s.q.size());
  Guarded scratch(attention_scratch_bytes(s.shape, c.heads), 0xff);
  for (uint32_t t0 = 0, t1 = 0; t0 < c.length; t0 = t1) {
    t1 = s.row_spans[2 * (std::min(c.length, t0 + chunk) - 1) + 1];
    s.write(kernels, t0, t1);
    for (uint32_t g = 0; g < c.kv_heads; ++g) kernels.attention(s.args(out), t0, t1, g, scratch.data());
  }
  EXPECT_TRUE(scratch.intact()) << text(c);
  EXPECT_TRUE(s.pool.intact()) << text(c);
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The generic kernels emulate fma in software on a machine built without it, some 50 times slower: they get a sample of the long lists.
bool sampled_out(const CpuAttentionKernels* kernels, size_t index) { return kernels == attention_kernels_generic() && index % 5 != 0; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const KvFormat f : {KvFormat::f32, KvFormat::f16, KvFormat::q8, KvFormat::q4}) {
    for (const uint32_t size : {8u, 32u, 40u, 48u, 64u, 72u, 80u, 96u, 112u, 128u, 256u}) all.push_back({f, size, 4, 2, 70});
    for (const auto& [h, g] : {std::pair{1u, 1u}, {9u, 3u}, {8u, 1u}, {5u, 5u}, {14u, 2u}, {11u, 1u}, {100u, 1u}}) {
      all.push_back({f, 32, h, g, h == 100 ? 40u : 290u});
    }
    for (const uint32_t window : {1u, 5u, 31u, 32u, 33u, 100u, 256u, 300u}) all.push_back({f, 32, 6, 2, 600, window});
    all.push_back({f, 64, 9, 3, 600, 0, 20.0f, false});
    all.push_back({f, 64, 9, 3, 600, 0, 0, true});
    all.push_back({f, 64, 9, 3, 600, 70, 20.0f, true});
    // A span of several pages beside one inside a page, at the start and at the end, in plain rows and behind windows shorter and longer than it.
    for (const uint32_t window : {0u, 20u, 150u, 400u})
      all.push_back({f, 32, 6, 2, 600, window, 0, window == 20, {{5, 9}, {70, 331}, {331, 340}}});
    all.push_back({f, 64, 4, 1, 300, 40, 0, false, {{0, 300}}});
  }
  return all;
}

TEST(AttentionKernels, AgreeWithDoublePrecisionOverTheDecodedPages) {
  for (const CpuAttentionKernels* kernels : tables()) {
    size_t index = 0;
    for (const Case& c : cases()) {
      if (sampled_out(kernels, index++)) continue;
      const std::vector<float> out = in_chunks(*kernels, c, c.length);
      Sequence s(c, 1);
      s.write(*kernels, 0, c.length);
      std::vector<uint32_t> rows{0, 1, c.length / 2, c.length - 2, c.length - 1};
      for (const uint32_t t : {31u, 32u, 63u, 255u, 256u, 257u, 511u, 512u}) {
        if (t < c.length) rows.push_back(t);
      }
      const std::vector<double> expected = reference(s, rows);
      const size_t width = size_t{c.heads} * c.head_size;
      double worst = 0;
      for (size_t r = 0; r < rows.size(); ++r) {
        for (size_t i = 0; i < width; ++i) {
          const double difference = std::fabs(static_cast<double>(out[rows[r] * width + i]) - expected[r * width + i]);
          worst = std::isnan(difference) ? 1e9 : std::max(worst, difference);
        }
      }
      EXPECT_LT(worst, 1e-5) << kernels->name << " " << text(c);  // outputs are of size 1
    }
  }
}

TEST(AttentionKernels, ChunkingAndPagePlacementDoNotChangeABit) {
  for (const CpuAttentionKernels* kernels : tables()) {
    for (const KvFormat f : {KvFormat::f32, KvFormat::f16, KvFormat::q8, KvFormat::q4}) {
      size_t index = 0;
      for (const Case& c :
           {Case{f, 32, 3, 1, 280, 45}, Case{f, 64, 9, 3, 530}, Case{f, 40, 8, 1, 300}, Case{f, 64, 2, 2, 530, 300, 30.0f, true},
            Case{f, 32, 3, 1, 400, 45, 0, false, {{3, 6}, {40, 200}, {370, 400}}}, Case{f, 64, 9, 3, 530, 0, 0, true, {{100, 356}}}}) {
        if (sampled_out(kernels, index++)) continue;
        const std::vector<float> whole = in_chunks(*kernels, c, c.length);
        for (const uint32_t chunk : {1u, 7u, 32u, 128u, 512u}) {
          EXPECT_TRUE(same_bits(whole, in_chunks(*kernels, c, chunk, chunk))) << kernels->name << " " << text(c) << " chunk " << chunk;
        }
      }
    }
  }
}

TEST(AttentionKernels, EveryInstructionSetGivesTheSameBits) {
  const std::vector<const CpuAttentionKernels*> all = tables();
  size_t index = 0;
  for (const Case& c : cases()) {
    const std::vector<float> first = in_chunks(*all.back(), c, 64);
    for (const CpuAttentionKernels* kernels : all) {
      if (sampled_out(kernels, index)) continue;
      EXPECT_TRUE(same_bits(first, in_chunks(*kernels, c, 64))) << kernels->name << " " << text(c);
    }
    ++index;
  }
}

// The step's split run as the backend runs it, tasks in a random order.
std::vector<float> split_run(const CpuAttentionKernels& kernels, Sequence& s, uint32_t t0, uint32_t t1, uint32_t threads, size_t* merges) {
  const Case& c = s.c;
  std::vector<float> out(s.q.size());
  const AttentionShape shape{c.kv_heads, c.heads / c.kv_heads, c.head_size, c.window};
  const SequenceRows rows{t0, t1 - t0, static_cast<int32_t>(t0), s.row_spans.data() + 2 * t0};
  AttentionSplit split;
  split_attention(std::span(&rows, 1), shape, threads, split);
  EXPECT_LE(split.partial_floats, attention_partial_floats_bound(shape, t1 - t0, c.length, threads));
  Guarded partials(split.partial_floats * sizeof(float), 0xff);
  Guarded scratch(attention_scratch_bytes(s.shape, c.heads), 0xff);
  float* data = reinterpret_cast<float*>(partials.data());
  std::mt19937 random(threads);
  std::shuffle(split.tasks.begin(), split.tasks.end(), random);
  const auto of = [&](const AttentionMerge& m) { return AttentionPartials{data + m.partial_offset, m.first_span, m.spans}; };
  for (const AttentionTask& t : split.tasks) {
    if (t.partial == kDirect) {
      kernels.attention(s.args(out), t.row0, t.row1, t.kv_head, scratch.data());
    } else {
      kernels.attention_partial(s.args(out), t.row0, t.row1, t.kv_head, t.span0, t.span1, of(split.merges[t.partial]), scratch.data());
    }
  }
  for (const AttentionMerge& m : split.merges) kernels.attention_merge(s.args(out), m.row0, m.row1, m.kv_head, of(m), scratch.data());
  EXPECT_TRUE(partials.intact());
  EXPECT_TRUE(scratch.intact());
  *merges += split.merges.size();
  return out;
}

TEST(AttentionKernels, SplittingOverThreadsAndSpansDoesNotChangeABit) {
  size_t merges = 0;
  for (const CpuAttentionKernels* kernels : tables()) {
    for (const KvFormat f : {KvFormat::f16, KvFormat::q4}) {
      for (const Case& c : {Case{f, 64, 3, 1, 1400}, Case{f, 48, 4, 2, 1400, 700, 0, true},
                            Case{f, 48, 4, 2, 1400, 300, 0, false, {{1250, 1396}, {1397, 1399}, {1399, 1400}}}}) {
        Sequence s(c, 3);
        s.write(*kernels, 0, c.length);
        for (const uint32_t rows : {1u, 3u, 200u}) {
          if (rows == 200 && kernels == attention_kernels_generic()) continue;
          const std::vector<float> alone = split_run(*kernels, s, c.length - rows, c.length, 1, &merges);
          for (const uint32_t threads : {2u, 3u, 8u}) {
            EXPECT_TRUE(same_bits(alone, split_run(*kernels, s, c.length - rows, c.length, threads, &merges)))
                << kernels->name << " " << text(c) << " rows " << rows << " threads " << threads;
          }
        }
      }
    }
  }
  EXPECT_GT(merges, 10u);
}

TEST(AttentionKernels, RowsOfPartialCallsMayStartAnywhere) {
  // attention_partial over every cut of the spans of some rows, also when a row's window begins after the first span.
  const Case c{KvFormat::q8, 32, 4, 2, 900, 300};
  for (const CpuAttentionKernels* kernels : tables()) {
    const std::vector<float> whole = in_chunks(*kernels, c, c.length);
    Sequence s(c, 1);
    s.write(*kernels, 0, c.length);
    Guarded scratch(attention_scratch_bytes(s.shape, c.heads), 0xff);
    const uint32_t t0 = 540, t1 = 640, spans = 3;
    for (uint32_t cut = 0; cut <= spans; ++cut) {
      std::vector<float> out = whole;
      for (uint32_t g = 0; g < 2; ++g) {
        Guarded memory((t1 - t0) * 2 * spans * attention_partial_floats(32) * sizeof(float), 0xff);
        const AttentionPartials p{reinterpret_cast<float*>(memory.data()), 0, spans};
        kernels->attention_partial(s.args(out), t0, t1, g, cut, spans, p, scratch.data());
        kernels->attention_partial(s.args(out), t0, t1, g, 0, cut, p, scratch.data());
        std::fill(out.begin() + t0 * 4 * 32, out.begin() + t1 * 4 * 32, g == 0 ? -7.0f : out[t0 * 4 * 32]);
        kernels->attention_merge(s.args(out), t0, t1, g, p, scratch.data());
        for (uint32_t t = t0; t < t1; ++t) {
          for (uint32_t i = 0; i < 64; ++i)
            ASSERT_EQ(out[t * 128 + g * 64 + i], whole[t * 128 + g * 64 + i]) << kernels->name << " cut " << cut;
        }
        EXPECT_TRUE(memory.intact());
      }
    }
  }
}

TEST(AttentionKernels, TheSplitCoversEveryRowHeadAndSpanOnce) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    const AttentionShape shape{1u + static_cast<uint32_t>(random() % 8), 1u + static_cast<uint32_t>(random() % 8), 64,
                               random() % 2 == 0 ? 0u : 1u + static_cast<uint32_t>(random() % 600)};
    std::vector<SequenceRows> sequences;
    uint32_t row = 0;
    for (uint32_t i = 0, n = 1 + random() % 5; i < n; ++i) {
      const uint32_t rows = random() % 3 == 0 ? 1 + random() % 300 : 1 + random() % 3;
      sequences.push_back({row, rows, static_cast<int32_t>(random() % 4000), nullptr});
      row += rows;
    }
    AttentionSplit split;
    const uint32_t threads = 1 + random() % 8;
    split_attention(sequences, shape, threads, split);
    ASSERT_LE(split.partial_floats, attention_partial_floats_bound(shape, row, 4400, threads));
    std::vector<uint32_t> done(size_t{row} * shape.kv_heads * 32, 0);
    for (const AttentionTask& t : split.tasks) {
      const SequenceRows& s = sequences[t.sequence];
      ASSERT_GE(t.row0, s.first_row);
      ASSERT_LE(t.row1, s.first_row + s.rows);
      for (uint32_t r = t.row0; r < t.row1; ++r) {
        for (uint32_t span = t.span0; span < t.span1; ++span) ++done[(size_t{r} * shape.kv_heads + t.kv_head) * 32 + span];
      }
    }
    for (const SequenceRows& s : sequences) {
      for (uint32_t r = 0; r < s.rows; ++r) {
        const int32_t position = s.first_position + static_cast<int32_t>(r);
        const SpanRange seen = attention_spans(seen_slots(position, nullptr, shape.window));
        for (uint32_t g = 0; g < shape.kv_heads; ++g) {
          for (uint32_t span = 0; span < 32; ++span) {
            const uint32_t count = done[(size_t{s.first_row + r} * shape.kv_heads + g) * 32 + span];
            ASSERT_LE(count, 1u);
            if (span >= seen.first && span < seen.end) {
              ASSERT_EQ(count, 1u);
            }
          }
        }
      }
    }
  }
}

TEST(KvPage, ReadsBackWhatWasWrittenWithinItsFormat) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const uint32_t size : {8u, 32u, 48u, 64u, 80u, 112u, 128u, 256u}) {
    for (const KvFormat f : {KvFormat::f32, KvFormat::f16, KvFormat::q8, KvFormat::q4}) {
      const KvPageShape shape{f, size, 3};
      std::vector<std::byte> page(kv_page_layout(shape).page_bytes, std::byte{0xff});
      std::vector<float> rows(size_t{32} * 3 * size * 2);
      for (float& x : rows) x = normal(random);
      const auto row = [&](uint32_t t, uint32_t h, uint32_t kv) { return rows.data() + ((size_t{t} * 3 + h) * 2 + kv) * size; };
      std::array<uint32_t, 32> order;
      std::iota(order.begin(), order.end(), 0u);
      std::shuffle(order.begin(), order.end(), random);
      for (const uint32_t t : order) {
        for (uint32_t h = 0; h < 3; ++h) {
          kv_encode_k(shape, page.data(), h, t, row(t, h, 0));
          kv_encode_v(shape, page.data(), h, t, row(t, h, 1));
        }
      }
      for (uint32_t kv = 0; kv < 2; ++kv) {
        double error = 0, power = 0;
        std::vector<float> out(size);
        for (uint32_t t = 0; t < 32; ++t) {
          for (uint32_t h = 0; h < 3; ++h) {
            (kv == 0 ? kv_decode_k : kv_decode_v)(shape, page.data(), h, t, out.data());
            for (uint32_t d = 0; d < size; ++d) {
              error += std::pow(static_cast<double>(out[d] - row(t, h, kv)[d]), 2);
              power += std::pow(static_cast<double>(row(t, h, kv)[d]), 2);
            }
          }
        }
        const double bound = f == KvFormat::f32 ? 0.0 : f == KvFormat::f16 ? 5e-8 : f == KvFormat::q8 ? 4e-5 : kv == 0 ? 2.5e-3 : 8e-3;
        EXPECT_LE(error / power, bound) << name(f) << " D=" << size << (kv == 0 ? " K" : " V");
      }
    }
  }
}

TEST(KvPage, KernelsWriteTheReferenceBytes) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (const CpuAttentionKernels* kernels : tables()) {
    for (const uint32_t size : {8u, 32u, 40u, 48u, 64u, 80u, 128u, 256u}) {
      for (const KvFormat f : {KvFormat::f32, KvFormat::f16, KvFormat::q8, KvFormat::q4}) {
        const KvPageShape shape{f, size, 2};
        const size_t bytes = kv_page_layout(shape).page_bytes;
        Guarded pool(4 * bytes, 0x5a);
        std::vector<std::byte> expected(4 * bytes, std::byte{0x5a});
        const std::vector<uint32_t> pages{2, 0, 3};
        const uint32_t rows = 70, first = 9;
        std::vector<float> k(size_t{rows} * 2 * size), v(k.size());
        for (float& x : k)
          x = random() % 50 == 0 ? 0.0f : normal(random) * std::exp2(static_cast<float>(static_cast<int>(random() % 40) - 25));
        for (float& x : v) x = normal(random);
        std::fill(k.begin(), k.begin() + size, 0.0f);
        std::vector<int32_t> positions(rows);
        std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));
        kernels->kv_write({pool.data(), shape}, pages.data(), positions.data(), k.data(), v.data(), 2 * size, rows);
        for (uint32_t t = 0; t < rows; ++t) {
          for (uint32_t h = 0; h < 2; ++h) {
            std::byte* page = expected.data() + pages[(first + t) / 32] * bytes;
            kv_encode_k(shape, page, h, (first + t) % 32, k.data() + (size_t{t} * 2 + h) * size);
            kv_encode_v(shape, page, h, (first + t) % 32, v.data() + (size_t{t} * 2 + h) * size);
          }
        }
        EXPECT_EQ(std::memcmp(pool.data(), expected.data(), expected.size()), 0) << kernels->name << " " << name(f) << " D=" << size;
        EXPECT_TRUE(pool.intact());
      }
    }
  }
}

TEST(KvPage, RotationIsItsOwnInverseAndKeepsProducts) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (const uint32_t size : {8u, 40u, 64u, 96u, 112u, 256u}) {
    std::vector<float> a(size), b(size);
    for (float& x : a) x = normal(random);
    for (float& x : b) x = normal(random);
    std::vector<float> ra = a, rb = b;
    kv_rotate(ra.data(), size);
    kv_rotate(rb.data(), size);
    EXPECT_NEAR(std::inner_product(a.begin(), a.end(), b.begin(), 0.0), std::inner_product(ra.begin(), ra.end(), rb.begin(), 0.0), 1e-4);
    EXPECT_GT(std::fabs(ra[1] - a[1]), 1e-6f);
    kv_rotate(ra.data(), size);
    for (uint32_t d = 0; d < size; ++d) EXPECT_NEAR(ra[d], a[d], 2e-6f);
  }
}

TEST(RopeKernel, TurnsPairsByTheAnglesOfTheirPositionComponent) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (const CpuAttentionKernels* kernels : tables()) {
    for (const RopeStyle style : {RopeStyle::neighbours, RopeStyle::halves}) {
      for (const bool sections : {false, true}) {
        RopeSpec spec;
        spec.style = style;
        spec.dims = 48;  // of 64: the last 16 pass
        spec.base = 5000.0f;
        spec.scale = 2.0f;
        spec.attention_factor = 1.25f;
        if (sections) spec.sections[0] = 8, spec.sections[1] = 10, spec.sections[2] = 6;
        std::vector<float> factors(24);
        for (size_t i = 0; i < factors.size(); ++i) factors[i] = 1.0f + 0.1f * static_cast<float>(i);
        const Result<RopeFrequencies> frequencies = rope_frequencies(spec, factors);
        ASSERT_TRUE(frequencies.ok());
        const uint32_t rows = 5, heads = 3, size = 64;
        std::vector<int32_t> positions;
        for (uint32_t i = 0; i < rows * 3; ++i) positions.push_back(static_cast<int32_t>(random() % 8000));
        std::vector<float> table(rows * 48), x(rows * heads * size);
        rope_table(*frequencies, positions.data(), rows, table.data());
        for (float& f : x) f = normal(random);
        const std::vector<float> before = x;
        kernels->rope(x.data(), heads * size, table.data(), rows, heads, size, 48, style);
        for (uint32_t t = 0; t < rows; ++t) {
          for (uint32_t h = 0; h < heads; ++h) {
            const float* in = before.data() + (t * heads + h) * size;
            const float* out = x.data() + (t * heads + h) * size;
            for (uint32_t i = 0; i < 24; ++i) {
              const uint32_t component = !sections ? 0 : i < 8 ? 0 : i < 18 ? 1 : 2;
              const double angle = positions[t * 3 + component] * std::pow(5000.0, -2.0 * i / 48) / (static_cast<double>(factors[i]) * 2.0);
              const uint32_t a = style == RopeStyle::neighbours ? 2 * i : i, b = style == RopeStyle::neighbours ? 2 * i + 1 : i + 24;
              EXPECT_NEAR(out[a], 1.25 * (in[a] * std::cos(angle) - in[b] * std::sin(angle)), 2e-6) << kernels->name;
              EXPECT_NEAR(out[b], 1.25 * (in[a] * std::sin(angle) + in[b] * std::cos(angle)), 2e-6) << kernels->name;
            }
            for (uint32_t d = 48; d < size; ++d) EXPECT_EQ(out[d], in[d]);
          }
        }
      }
    }
  }
}

TEST(RopeKernel, SectionsWithTheirOwnFrequenciesTurnAlike) {
  RopeSpec spec;  // two axes of a picture, as Qwen2-VL's encoder turns them: pairs 0-15 by y, 16-31 by x, both from frequency 1 down
  spec.dims = 64;
  spec.base = 10000.0f;
  spec.sections[1] = spec.sections[2] = 16;
  spec.section_frequencies = true;
  const Result<RopeFrequencies> f = rope_frequencies(spec, {});
  ASSERT_TRUE(f.ok());
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ(f->component[i], i < 16 ? 1 : 2);
    EXPECT_NEAR(f->frequency[i], std::pow(10000.0, -static_cast<double>(i % 16) / 16), 1e-12);
  }
}

TEST(RopeKernel, SpecsThatCannotBeAreErrors) {
  RopeSpec good;
  good.dims = 8;
  ASSERT_TRUE(rope_frequencies(good, {}).ok());
  const auto refused = [&](auto change, std::vector<float> factors = {}) {
    RopeSpec spec = good;
    change(spec);
    return rope_frequencies(spec, factors).status().code() == Code::invalid_argument;
  };
  EXPECT_TRUE(refused([](RopeSpec& s) { s.dims = 7; }));
  EXPECT_TRUE(refused([](RopeSpec& s) { s.base = 0; }));
  EXPECT_TRUE(refused([](RopeSpec& s) { s.base = NAN; }));
  EXPECT_TRUE(refused([](RopeSpec& s) { s.scale = -1; }));
  EXPECT_TRUE(refused([](RopeSpec& s) { s.sections[0] = 3; }));
  EXPECT_TRUE(refused([](RopeSpec&) {}, {1, 1, 1}));
  EXPECT_TRUE(refused([](RopeSpec&) {}, {1, 1, 0, 1}));
}

}  // namespace
}  // namespace kl::cpu
