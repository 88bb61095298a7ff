// A tiny model, its token ids and its expected logits, as scripts/goldens/models.py wrote them; and the runs a test makes of it.
#pragma once
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/device.h"
#include "engine/model_runner.h"
#include "support/test_data.h"

namespace kl {

struct Golden {
  std::string path;
  std::vector<int32_t> ids;
  std::vector<float> logits;  // [ids.size() vocabulary]
  size_t vocabulary = 0;
};

// The values of a float32 array as numpy saves it.
inline std::vector<float> read_npy(const std::string& path) {
  std::ifstream npy(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(npy)), {});
  EXPECT_GT(bytes.size(), 128u) << path;
  if (bytes.size() <= 128) return {};
  const size_t header = 10 + static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);  // numpy format 1.0: length at byte 8
  std::vector<float> values((bytes.size() - header) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(float));
  return values;
}

inline Golden read_golden(const std::string& family) {
  Golden g;
  const std::string stem = test_data() + "/golden/models/" + family;
  g.path = stem + ".gguf";
  std::ifstream ids(stem + ".ids");
  for (int32_t id; ids >> id;) g.ids.push_back(id);
  g.logits = read_npy(stem + ".npy");
  g.vocabulary = g.logits.size() / g.ids.size();
  return g;
}

// How a run cuts the ids into steps.
struct Cut {
  uint32_t chunk = 512;
  uint32_t threads = 1;
  bool reference = false;
  KvFormat kv = KvFormat::f16;
  std::optional<ActivationFormat> activations = {};
  Device* device = nullptr;  // instead of a CPU device
};

inline std::vector<float> run_model(const std::string& path, const std::vector<int32_t>& ids, const Cut& cut) {
  auto file = Gguf::open(path);
  EXPECT_TRUE(file.ok()) << file.status().message();
  auto opened = cpu::open_cpu({.threads = cut.threads, .isa = {}, .reference = cut.reference});
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  Device& device = cut.device != nullptr ? *cut.device : **opened;
  RunnerOptions options;
  options.context = 512;
  options.max_outputs = 512;
  options.kv = cut.kv;
  options.activations = cut.activations;
  auto runner = ModelRunner::load(*file, device, options, {}, {});
  EXPECT_TRUE(runner.ok()) << runner.status().message();
  if (!runner.ok()) return {};
  KvCache& cache = (*runner)->cache();
  const SequenceId sequence = cache.create_sequence(options.context);
  std::vector<float> logits;
  for (size_t at = 0; at < ids.size(); at += cut.chunk) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(cut.chunk, ids.size() - at));
    auto copies = cache.reserve(sequence, count);
    EXPECT_TRUE(copies.ok()) << copies.status().message();
    StepBatch batch;
    batch.copies.assign(copies->begin(), copies->end());
    batch.sequences.push_back({sequence, std::span(ids).subspan(at, count), static_cast<uint32_t>(at), count});
    auto result = (*runner)->run(batch);
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok()) return {};
    logits.insert(logits.end(), result->logits.begin(), result->logits.end());
    EXPECT_TRUE(cache.commit(sequence, count).ok());
  }
  return logits;
}

// max|a - b| / max|b|
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || b.empty()) return 1e9;
  double difference = 0, most = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference = std::max(difference, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    most = std::max(most, std::fabs(static_cast<double>(b[i])));
    if (std::isnan(a[i])) return 1e9;
  }
  return difference / most;
}

// Mean over rows of KL(softmax(b) || softmax(a)).
inline double mean_kl(const std::vector<float>& a, const std::vector<float>& b, size_t vocabulary) {
  if (a.size() != b.size() || b.empty()) return 1e9;
  const auto log_sum = [&](const float* x) {
    double most = x[0], sum = 0;
    for (size_t i = 0; i < vocabulary; ++i) most = std::max(most, static_cast<double>(x[i]));
    for (size_t i = 0; i < vocabulary; ++i) sum += std::exp(static_cast<double>(x[i]) - most);
    return most + std::log(sum);
  };
  double total = 0;
  for (size_t at = 0; at < b.size(); at += vocabulary) {
    const double la = log_sum(&a[at]), lb = log_sum(&b[at]);
    for (size_t i = 0; i < vocabulary; ++i) {
      const double p = static_cast<double>(b[at + i]) - lb;
      total += std::exp(p) * (p - (static_cast<double>(a[at + i]) - la));
    }
  }
  return total / (static_cast<double>(b.size()) / static_cast<double>(vocabulary));
}

}  // namespace kl
