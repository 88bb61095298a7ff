// The last steps, for people who ask where the time went. Written by the scheduler thread, read from any.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "core/status.h"

namespace kl {

struct StepRecord {
  uint32_t model = 0;
  double start_s = 0;  // since the engine was opened
  double seconds = 0;
  uint32_t rows = 0, prompt_rows = 0, sequences = 0;
  uint64_t bytes = 0, macs = 0;
  Code status = Code::ok;
};

class Trace {
 public:
  static constexpr size_t kSteps = 4096;
  Trace() : ring_(kSteps) {}

  void add(const StepRecord& record) noexcept {
    const std::lock_guard lock(mutex_);
    ring_[count_++ % kSteps] = record;
  }
  // A JSON array, oldest first; fields as kinglet/engine.h says.
  std::string json() const {
    const std::lock_guard lock(mutex_);
    std::string text = "[";
    for (uint64_t i = count_ > kSteps ? count_ - kSteps : 0; i < count_; ++i) {
      const StepRecord& r = ring_[i % kSteps];
      text += format(
          "%s{\"model\":%u,\"start_s\":%.6f,\"seconds\":%.6f,\"rows\":%u,\"prompt_rows\":%u,\"sequences\":%u,\"bytes\":%llu,\"macs\":%llu,"
          "\"status\":\"%s\"}",
          text.size() > 1 ? "," : "", r.model, r.start_s, r.seconds, r.rows, r.prompt_rows, r.sequences,
          static_cast<unsigned long long>(r.bytes), static_cast<unsigned long long>(r.macs), code_name(r.status));
    }
    return text + "]";
  }

 private:
  mutable std::mutex mutex_;
  std::vector<StepRecord> ring_;
  uint64_t count_ = 0;
};

}  // namespace kl
