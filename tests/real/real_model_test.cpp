// What is promised of a real model, on the one that scripts/get_model.sh brings (KINGLET_TEST_MODEL names the file). Minutes, so only in --full.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "models/bits.h"

namespace kl {
namespace {

const char* model() { return std::getenv("KINGLET_TEST_MODEL"); }

TEST(RealModel, SixtyFourPromptsGiveEqualBitsInAllCircumstances) {
  if (model() == nullptr) GTEST_SKIP() << "KINGLET_TEST_MODEL does not name a model";
  expect_equal_bits(model(), 64, 120);
}

// Loads and runs a step in a child process, since a peak never goes down. Returns the child's peak resident bytes.
uint64_t peak_of_first_load(const RunnerOptions& options, uint32_t rows) {
  int pipe_ends[2];
  EXPECT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    bool ok = false;
    {
      auto file = Gguf::open(model());
      auto device = cpu::open_cpu({.threads = 2, .isa = {}, .reference = false});
      auto runner = ModelRunner::load(*file, **device, options, {}, {});
      if (runner.ok()) {
        KvCache& cache = (*runner)->cache();
        const SequenceId s = cache.create_sequence(options.context);
        std::vector<int32_t> ids(rows);
        for (uint32_t i = 0; i < rows; ++i) ids[i] = static_cast<int32_t>(i * 37 % (*runner)->spec().vocabulary);
        ok = true;
        for (uint32_t at = 0; ok && at + 512 <= rows; at += 512) {
          ok = cache.reserve(s, 512).ok();
          StepBatch batch;
          batch.sequences.push_back({s, std::span(ids).subspan(at, 512), at, 1});
          ok = ok && (*runner)->run(batch).ok() && cache.commit(s, 512).ok();
        }
      }
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const uint64_t peak = ok ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
    const bool told = write(pipe_ends[1], &peak, sizeof peak) == sizeof peak;
    _exit(told ? 0 : 1);
  }
  uint64_t peak = 0;
  EXPECT_EQ(read(pipe_ends[0], &peak, sizeof peak), static_cast<ssize_t>(sizeof peak));
  int status = 0;
  waitpid(child, &status, 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  return peak;
}

TEST(RealModel, PeakMemoryOfAFirstLoadIsWhatWasEstimated) {
  if (model() == nullptr) GTEST_SKIP() << "KINGLET_TEST_MODEL does not name a model";
  RunnerOptions options;
  options.context = 2048;
  auto file = Gguf::open(model());
  ASSERT_TRUE(file.ok()) << file.status().message();
  auto device = cpu::open_cpu({.threads = 1, .isa = {}, .reference = false});
  const auto estimate = ModelRunner::estimate(**file, **device, options);
  ASSERT_TRUE(estimate.ok()) << estimate.status().message();
  const uint64_t peak = peak_of_first_load(options, 2048);
  ASSERT_GT(peak, estimate->weights);
  const uint64_t bound = estimate->weights + estimate->largest_tensor + estimate->kv + estimate->workspace + (uint64_t{32} << 20);
  std::printf("estimate %s bytes (weights %s, cache %s, workspace %s, largest tensor %s); peak resident %s, bound %s\n",
              with_commas(estimate->total()).c_str(), with_commas(estimate->weights).c_str(), with_commas(estimate->kv).c_str(),
              with_commas(estimate->workspace).c_str(), with_commas(estimate->largest_tensor).c_str(), with_commas(peak).c_str(),
              with_commas(bound).c_str());
  EXPECT_LE(peak, bound);
}

}  // namespace
}  // namespace kl
