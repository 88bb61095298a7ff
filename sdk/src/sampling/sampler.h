// Reference sampler: one token from one row of logits. What it computes, in this order:
//   penalties   repetition, presence, frequency over the last repeat_window tokens of the history
//   greedy      temperature 0: the highest logit, ties to the lowest id
//   p           exp((logit - max) / temperature), in double; candidates ordered by logit descending, then id ascending
//   top_k       the k first
//   top_p       of these, the shortest run from the front that holds top_p of their sum
//   min_p       of these, those with p >= min_p x the first one's p
//   draw        uniform(seed, stream, position) x sum, walked from the front
// With temperature and top_k alone, p and draw are those of core/draw.h, in integers, so that a device draws the same token inside its recording.
// Every operation is IEEE arithmetic in a written order: the same logits, settings and position give the same token on any machine.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/draw.h"
#include "core/status.h"

namespace kl {

struct SamplingOptions {
  float temperature = 0;  // 0: greedy
  int32_t top_k = 0;      // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  float repeat_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint32_t repeat_window = 64;
  uint64_t seed = 0;

  bool has_penalties() const { return repeat_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0; }
  // The token is the highest logit: a backend's own argmax will do.
  bool is_plain_greedy() const { return temperature == 0 && !has_penalties(); }
  // All that core/draw.h does: a device can do it.
  bool is_plain_draw() const { return !has_penalties() && (temperature == 0 || top_k == 1 || (top_p == 1 && min_p == 0)); }
};

// For is_plain_draw(): what a device is told.
DrawSettings draw_settings(const SamplingOptions& options, uint64_t position, uint32_t stream = 0);

// Error invalid_argument: a number out of its declared range (kinglet/session.h) or NaN, naming the field.
Status check(const SamplingOptions& options);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm
};

// Holds scratch memory for one vocabulary size; give every thread its own.
class Sampler {
 public:
  // Error internal: a logit is NaN or +infinity, or all are -infinity (nothing is sampled from a broken row).
  // history: all tokens so far, oldest first, ids in [0, logits.size()); position: how many tokens stand before the one drawn.
  Result<int32_t> sample(std::span<const float> logits, const SamplingOptions& options, std::span<const int32_t> history, uint64_t position,
                         uint32_t stream = 0);

  // log softmax of the plain logits: of `token`, and of the n best, best first. Error as above.
  Result<float> logprobs(std::span<const float> logits, int32_t token, uint32_t n, std::vector<TokenLogprob>& top);

 private:
  void penalize(std::span<const float> logits, const SamplingOptions& options, std::span<const int32_t> history);
  void select_best(std::span<const float> logits, size_t count);
  int32_t draw_cut(std::span<const float> logits, double best, const SamplingOptions& options, double u);
  double fill_weights(std::span<const float> logits, double best, double temperature);

  std::vector<float> penalized_;  // [V]
  std::vector<int32_t> window_;   // the history window, sorted
  std::vector<int32_t> order_;    // candidates, best first
  std::vector<double> weights_;   // [V] p by id, or by place in order_
};

// The highest value, ties to the lowest index. Error as Sampler::sample.
Result<int32_t> argmax(std::span<const float> logits);

}  // namespace kl
