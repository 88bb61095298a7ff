// kl_evaluate through the C boundary.
#include <gtest/gtest.h>

#include <random>

#include "fake_runner.h"

namespace kl::fake {
namespace {

kl_evaluation item(kl_sequence* sequence, const std::vector<int32_t>& ids, std::vector<float>& logits, size_t rows) {
  logits.assign(rows * kVocabulary, -1);
  kl_evaluation e{};
  e.size = sizeof e;
  e.sequence = sequence;
  e.ids = ids.data();
  e.count = ids.size();
  e.logits = rows == 0 ? nullptr : logits.data();
  e.logit_rows = rows;
  return e;
}

// The logits after tokens[length - rows ..], as the definition has them.
std::vector<float> expected(std::vector<int32_t> all, size_t rows) {
  std::vector<float> out;
  const size_t size = all.size();
  for (size_t length = size - rows + 1; length <= size; ++length) {
    const uint64_t content = content_of(std::vector<int32_t>(all.begin(), all.begin() + static_cast<ptrdiff_t>(length)));
    for (uint32_t v = 0; v < kVocabulary; ++v) out.push_back(logit(content, v));
  }
  return out;
}

struct Fixture {
  explicit Fixture(uint32_t max_rows = 64, uint32_t max_outputs = 16, uint32_t max_sequences = 4) {
    kl_model_options options{};
    options.context = 512;
    options.kv_tokens = 8192;
    options.max_rows = max_rows;
    options.max_logit_rows = max_outputs;
    options.max_sequences = max_sequences;
    model = engine.load(options);
  }
  ~Fixture() {
    for (kl_sequence* s : sequences) (void)kl_sequence_destroy(s);
    (void)kl_model_destroy(model);
  }
  kl_sequence* sequence() {
    kl_sequence* s = nullptr;
    EXPECT_EQ(kl_sequence_new(model, &s), KL_OK) << kl_last_error();
    sequences.push_back(s);
    return s;
  }
  FakeEngine engine;
  kl_model* model = nullptr;
  std::vector<kl_sequence*> sequences;
};

TEST(Evaluate, LogitsDoNotDependOnHowTheTokensAreCut) {
  Fixture f;
  const auto ids = some_ids(300, 1);
  const auto want = expected(ids, 300);
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{64}, size_t{300}}) {
    kl_sequence* s = f.sequence();
    std::vector<float> got;
    for (size_t at = 0; at < ids.size(); at += chunk) {
      const std::vector<int32_t> part(ids.begin() + static_cast<ptrdiff_t>(at),
                                      ids.begin() + static_cast<ptrdiff_t>(std::min(at + chunk, ids.size())));
      std::vector<float> logits;
      const kl_evaluation e = item(s, part, logits, part.size());
      ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK) << kl_last_error();
      got.insert(got.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(got, want) << "chunks of " << chunk;
  }
}

TEST(Evaluate, ManySequencesOfAllLengthsInOneCall) {
  Fixture f;
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    const size_t count = 1 + random() % 9;
    std::vector<std::vector<int32_t>> ids;
    std::vector<std::vector<float>> logits(count);
    std::vector<kl_evaluation> items;
    ids.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      ids.push_back(some_ids(1 + random() % 120, static_cast<uint32_t>(random())));
      items.push_back(item(f.sequence(), ids[i], logits[i], random() % (ids[i].size() + 1)));
    }
    auto stats = kl_evaluation_stats{};
    stats.size = sizeof stats;
    ASSERT_EQ(kl_evaluate(f.model, items.data(), count, &stats), KL_OK) << kl_last_error();
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(logits[i], expected(ids[i], items[i].logit_rows)) << i;
    EXPECT_GT(stats.steps, 0u);
    for (const auto& e : items) (void)kl_sequence_destroy(e.sequence);
    f.sequences.clear();
  }
}

TEST(Evaluate, TruncateAndForkKeepWhatStandsBefore) {
  Fixture f;
  kl_sequence* s = f.sequence();
  auto ids = some_ids(100, 5);
  std::vector<float> logits;
  kl_evaluation e = item(s, ids, logits, 1);
  ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK);
  kl_sequence* copy = nullptr;
  ASSERT_EQ(kl_sequence_fork(s, &copy), KL_OK);
  f.sequences.push_back(copy);
  ASSERT_EQ(kl_sequence_truncate(s, 41), KL_OK) << kl_last_error();
  EXPECT_EQ(kl_sequence_truncate(s, 42), KL_INVALID_ARGUMENT);
  const std::vector<int32_t> more{9, 8, 7};
  e = item(s, more, logits, 3);
  ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK);
  auto cut = std::vector<int32_t>(ids.begin(), ids.begin() + 41);
  cut.insert(cut.end(), more.begin(), more.end());
  EXPECT_EQ(logits, expected(cut, 3));
  e = item(copy, more, logits, 2);
  ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK);
  ids.insert(ids.end(), more.begin(), more.end());
  EXPECT_EQ(logits, expected(ids, 2));
  uint32_t length = 0;
  EXPECT_EQ(kl_sequence_length(copy, &length), KL_OK);
  EXPECT_EQ(length, 103u);
}

TEST(Evaluate, AFailureLeavesEverySequenceAsItWas) {
  Fixture f;
  kl_sequence* a = f.sequence();
  kl_sequence* b = f.sequence();
  const auto start = some_ids(40, 1);
  std::vector<float> la, lb;
  kl_evaluation items[2] = {item(a, start, la, 0), item(b, start, lb, 0)};
  ASSERT_EQ(kl_evaluate(f.model, items, 2, nullptr), KL_OK);
  const auto more = some_ids(200, 2);
  for (const uint64_t failing : {uint64_t{0}, uint64_t{1}, uint64_t{3}}) {
    uint64_t step = 0;
    f.engine.control->set([&](const StepBatch&) {
      return step++ == failing ? error(Code::internal, "step %llu", static_cast<unsigned long long>(failing)) : Status();
    });
    items[0] = item(a, more, la, 5);
    items[1] = item(b, more, lb, 5);
    EXPECT_EQ(kl_evaluate(f.model, items, 2, nullptr), KL_INTERNAL);
    f.engine.control->set({});
    for (kl_sequence* s : {a, b}) {
      uint32_t length = 0;
      EXPECT_EQ(kl_sequence_length(s, &length), KL_OK);
      EXPECT_EQ(length, 40u);
    }
  }
  items[0] = item(a, more, la, 5);
  ASSERT_EQ(kl_evaluate(f.model, items, 1, nullptr), KL_OK) << kl_last_error();
  auto all = start;
  all.insert(all.end(), more.begin(), more.end());
  EXPECT_EQ(la, expected(all, 5));
}

TEST(Evaluate, FullCachesAndContextsAreErrorsWithoutTrace) {
  Fixture f;
  kl_sequence* s = f.sequence();
  std::vector<float> logits;
  const auto long_ids = some_ids(500, 1);
  kl_evaluation e = item(s, long_ids, logits, 0);
  ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK);
  const auto few = some_ids(13, 2);
  e = item(s, few, logits, 1);
  EXPECT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_CONTEXT_FULL);
  for (int i = 0; i < 15; ++i) {  // 16 x 512 tokens fill the cache
    e = item(f.sequence(), long_ids, logits, 0);
    ASSERT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK) << i << kl_last_error();
  }
  e = item(f.sequence(), few, logits, 1);
  EXPECT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OUT_OF_MEMORY);
  (void)kl_sequence_destroy(f.sequences.back());
  f.sequences.pop_back();
  (void)kl_sequence_destroy(f.sequences.back());
  f.sequences.pop_back();
  e = item(f.sequence(), few, logits, 1);
  EXPECT_EQ(kl_evaluate(f.model, &e, 1, nullptr), KL_OK) << kl_last_error();
  EXPECT_EQ(logits, expected(few, 1));
}

}  // namespace
}  // namespace kl::fake
