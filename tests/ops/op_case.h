// One op case: parsed from cases.txt, built into a small Program, run on a device. Inputs come from gather_rows over float32 tables, so that a case
// is a complete Program and nothing in the library knows about tests.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/device.h"
#include "core/status.h"
#include "ir/program.h"

namespace kl::ops {

struct OpCase {
  std::string op;
  std::map<std::string, std::string> keys;

  std::string text() const;  // "linear K=256 N=33 T=1 act=q8 ..."
  std::string name() const;  // the same as a test's name
  uint32_t number(const char* key, uint32_t otherwise) const;
  std::string word(const char* key, const char* otherwise) const;
  bool yes(const char* key) const { return word(key, "no") == "yes"; }
};

// All combinations of all lines. Errors name the line.
Result<std::vector<OpCase>> read_cases(const std::string& path);

// A case as programs and data.
struct Built {
  Program program;  // inputs by gather_rows, the op, its result in `result`
  Value result;
  std::vector<std::vector<std::byte>> weights;  // by WeightId, canonical bytes
  RunConfig config;
  uint32_t rows = 0;                  // T
  uint32_t history = 0;               // rows run (in steps of `rows` or fewer) before the last step: what attention finds in the cache
  std::vector<uint32_t> output_rows;  // rows of the last step whose logits are wanted
  std::vector<std::byte> pixels;      // of a patchify case
  std::vector<float> features;        // [StepLimits::feature_rows K] of a gather_rows case
  // What a case changes in the data of a step, whose rows begin at slot `at`; empty: plain text rows.
  std::function<void(const StepParams& params, uint32_t at, uint32_t rows)> fill;
};
Built build(const OpCase& c);
// The same with every weight and input replaced by its magnitude, weights in float32: its result bounds sum |w||x| (linear ops only).
Built build_magnitudes(const OpCase& c);

// The last step's result, [rows or outputs, width], as floats (token ids for sample). guard: bytes around the arena were left alone.
struct Run {
  std::vector<float> values;
  std::string kernel;  // of the op itself; the first one when it was expanded
  std::string report;  // kernels and why better ones were skipped
  bool guard_intact = true;
  double seconds = 0;  // of one step
};
Result<Run> run(Device& device, const Built& built, int repeats = 1, std::chrono::milliseconds timeout = std::chrono::minutes(1));

}  // namespace kl::ops
