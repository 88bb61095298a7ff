// Decode and prefill of a decoder of true shape with random weights, step by step on one device: no file, no tokenizer, no scheduler.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "backend/device.h"
#include "models/spec.h"

namespace kl::gpu_bench {

struct Shape {
  const char* name;    // "Llama-3.1-8B"
  const char* family;  // of models/family.h
  uint32_t layers, width, ffn, heads, kv_heads, head_size, vocabulary;
  bool tied;
};
inline constexpr Shape kShapes[] = {
    {"Llama-3.2-1B", "llama", 16, 2048, 8192, 32, 8, 64, 128256, true},
    {"Qwen3-4B", "qwen3", 36, 2560, 9728, 32, 8, 128, 151936, true},
    {"Llama-3.1-8B", "llama", 32, 4096, 14336, 32, 8, 128, 128256, false},
};

struct Setting {
  Format weights = Format::q4_0, head = Format::q6_k;  // head: the embedding too
  KvFormat kv = KvFormat::q8;
  uint32_t depth = 8192;   // tokens a sequence may hold before the steps that are timed
  uint32_t batch = 8;      // sequences at most
  uint32_t prompt = 2048;  // rows of a prefill, in steps of `step_rows`
  uint32_t step_rows = 512;
};

// A step program on a device, ready to run: weights, pools, a recording per bucket of rows.
class Runner {
 public:
  virtual ~Runner() = default;
  // Seconds of a step of `rows` rows of each of `sequences` sequences whose caches hold `depth` tokens: the fastest of `repeats`. One output row a sequence.
  virtual Result<double> step(uint32_t sequences, uint32_t rows, uint32_t depth, uint32_t repeats) = 0;
  // Seconds of a decode step among `repeats` behind one another, each fed by the one before.
  virtual Result<double> decode(uint32_t sequences, uint32_t depth, uint32_t repeats) = 0;
  virtual uint64_t weight_bytes() const = 0;  // of the ops but gather_rows: what every step reads
  virtual uint64_t kv_bytes_per_token() const = 0;
  virtual Result<uint32_t> launches(uint32_t sequences) = 0;  // stages of a decode step's plan
};

// Errors: out_of_memory; unsupported, naming the op for which the device has no kernel.
Result<std::unique_ptr<Runner>> make_runner(Device& device, const Shape& shape, const Setting& setting);
// The same for any step program: its outputs are not looked at.
Result<std::unique_ptr<Runner>> make_runner(Device& device, Program program, const Setting& setting);

// What is timed of a shape; a field is not run where its text says why.
struct Rate {
  uint32_t batch = 0, depth = 0;
  double seconds = 0;  // of a step
  double tokens_per_second = 0;
  double bytes_per_second = 0;  // decode: weights and caches read
  double alone_seconds = 0;     // decode: of a step that the host waits for before it submits the next
};
struct ModelResult {
  std::string name, not_run;
  std::vector<Rate> decode, prefill;
  uint32_t launches = 0;
  uint64_t weight_bytes = 0;
};
// Decode at batch 1 and `batch`, depth 0 and `depth`; prefill of `prompt` rows of one sequence at depth 0.
ModelResult measure(Device& device, const Shape& shape, const Setting& setting, uint32_t repeats);
Status measure(Runner& runner, const Setting& setting, uint32_t repeats, ModelResult& out);

}  // namespace kl::gpu_bench
