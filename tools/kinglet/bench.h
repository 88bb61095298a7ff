// The parts of kinglet bench.
#pragma once
#include <string>
#include <vector>

#include "common.h"

namespace tool {

// Middle, least and greatest of what was measured; of an even count, the mean of the two in the middle.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
Spread spread_of(std::vector<double> values);

struct BenchOptions {
  Common common;
  std::vector<uint32_t> prompt = {512};
  std::vector<uint32_t> gen = {128};
  std::vector<uint32_t> depth = {0};
  std::vector<uint32_t> batch = {1};
  uint32_t reps = 5;
  uint32_t image_width = 512;  // with a projector
  uint32_t image_height = 512;
  uint32_t question = 16;

  uint32_t context() const;  // what the longest combination needs
};

// One combination, measured. Speeds are tokens per second over the whole batch; a count of 0 leaves its part out.
struct BenchResult {
  int32_t threads = 0;
  std::string kv;
  uint32_t batch = 0;
  uint32_t depth = 0;
  uint32_t prompt = 0;
  uint32_t gen = 0;
  Spread prefill, decode, ttft, load;
  double prefill_gmac_per_s = 0;  // what the median speed computed and read
  double decode_gb_per_s = 0;
};

// Speeds of one combination on a loaded model.
void measure_speeds(const BenchOptions& options, kl_model* model, BenchResult& result);

// Seconds from the start of a fresh process to the first token it generated, of `prompt` tokens: this program is started again with a hidden subcommand.
double measure_first_token(const Common& common, int32_t threads, const std::string& kv, uint32_t context, uint32_t prompt);
void add_first_token(CLI::App& app);

// What a picture costs (with a projector): returned, and printed without --json. roof is null where it is not known.
Json bench_images(BenchOptions options, int32_t threads, const kl_roofline* roof);
void add_image_size(CLI::App& app, BenchOptions& options);
void add_first_answer(CLI::App& app);  // hidden, for the restarts of bench_images

// Starts this program again with other words and gives what it printed.
std::string output_of_this_program(std::vector<std::string> words);

std::vector<int32_t> random_ids(const kl_model_info& info, size_t count, uint64_t seed);

}  // namespace tool
