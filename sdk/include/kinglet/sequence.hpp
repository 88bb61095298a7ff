// Evaluation without sampling. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/sequence.h>
#include <kinglet/result.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace kinglet {

// Tokens in a KV cache, and nothing else.
class Sequence {
 public:
  explicit Sequence(kl_sequence* handle) : handle_(handle) {}
  kl_sequence* get() const { return handle_.get(); }

  Result<Sequence> fork() const {
    kl_sequence* copy = nullptr;
    if (const kl_status status = kl_sequence_fork(get(), &copy); status != KL_OK) return detail::last_error(status);
    return Sequence(copy);
  }
  Result<uint32_t> length() const {
    uint32_t length = 0;
    if (const kl_status status = kl_sequence_length(get(), &length); status != KL_OK) return detail::last_error(status);
    return length;
  }
  Result<void> truncate(uint32_t length) { return detail::done(kl_sequence_truncate(get(), length)); }

 private:
  detail::Handle<kl_sequence, kl_sequence_destroy> handle_;
};

// Tokens to append to a sequence, and where the logits of the last of them go: logits holds whole rows of V floats, as many as are wanted, at most ids.size().
struct Evaluation {
  Sequence* sequence = nullptr;
  std::span<const int32_t> ids = {};
  std::span<float> logits = {};
};
using EvaluationStats = kl_evaluation_stats;

}  // namespace kinglet
