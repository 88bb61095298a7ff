// Any bytes as a model that is loaded and run for one token, with little memory allowed.
#include "cpu/device.h"
#include "engine/model_runner.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto device = kl::cpu::open_cpu({.threads = 1, .isa = {}, .reference = false});
  promise(device.ok());
  const Exact input({data, size});
  const auto gguf = kl::Gguf::open_memory(input.span());
  if (!gguf.ok()) return 0;

  kl::RunnerOptions options;
  options.context = 32;
  options.max_rows = 8;
  options.max_outputs = 1;
  options.max_sequences = 1;
  options.memory_budget = uint64_t{64} << 20;
  const auto runner = kl::ModelRunner::load(*gguf, **device, options, {}, {});
  if (!runner.ok()) {
    promise(!runner.status().message().empty());
    return 0;
  }
  kl::KvCache& cache = (*runner)->cache();
  const kl::SequenceId sequence = cache.create_sequence((*runner)->options().context);
  const auto copies = cache.reserve(sequence, 1);
  if (!copies.ok()) return 0;
  const int32_t token = 0;
  kl::StepBatch batch;
  batch.copies.assign(copies->begin(), copies->end());
  batch.sequences.push_back({sequence, {&token, 1}, 0, 1});
  const auto result = (*runner)->run(batch);
  if (result.ok()) promise(result->logits.size() == (*runner)->spec().vocabulary);
  return 0;
}
