#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sampling/exp.h"
#include "sampling/philox.h"

namespace kl {
namespace {

Status check_range(const char* name, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return error(Code::invalid_argument, "%s must be from %g to %g, not %g", name, min, max, value);
}

// Candidates in order: logit descending, id ascending. A strict total order, so every selection algorithm gives the same set.
struct Better {
  std::span<const float> logits;
  bool operator()(int32_t a, int32_t b) const {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  }
};

// A sum whose order is a function of the count alone: 8 lanes by index modulo 8, then the lanes in ascending order.
double sum_in_order(std::span<const double> values) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += values[i + lane];
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) lanes[lane] += values[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

Status check(const SamplingOptions& o) {
  KL_TRY(check_range("temperature", o.temperature, 0, 100));
  KL_TRY(check_range("top_k", o.top_k, 0, std::numeric_limits<int32_t>::max()));
  KL_TRY(check_range("top_p", o.top_p, 0, 1));
  KL_TRY(check_range("min_p", o.min_p, 0, 1));
  KL_TRY(check_range("repeat_penalty", o.repeat_penalty, 0, 100));
  if (o.repeat_penalty == 0) return error(Code::invalid_argument, "repeat_penalty must not be 0: logits are divided by it");
  KL_TRY(check_range("presence_penalty", o.presence_penalty, -100, 100));
  return check_range("frequency_penalty", o.frequency_penalty, -100, 100);
}

DrawSettings draw_settings(const SamplingOptions& o, uint64_t position, uint32_t stream) {
  if (o.temperature == 0 || o.top_k == 1) return {};
  const uint64_t random = random_bits(o.seed, stream, position);
  return {draw_scale(o.temperature), static_cast<uint32_t>(o.top_k), static_cast<uint32_t>(random), static_cast<uint32_t>(random >> 32)};
}

Result<int32_t> argmax(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  size_t at = logits.size(), broken = logits.size();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] <= std::numeric_limits<float>::max())) broken = std::min(broken, i);  // NaN or +infinity
    if (logits[i] > best) {
      best = logits[i];
      at = i;
    }
  }
  if (broken < logits.size()) {
    return error(Code::internal, "the logit of token %zu is %s: nothing is sampled from it", broken,
                 std::isnan(logits[broken]) ? "NaN" : "infinite");
  }
  if (at == logits.size()) return error(Code::internal, "no token has a finite logit (%zu tokens)", logits.size());
  return static_cast<int32_t>(at);
}

void Sampler::penalize(std::span<const float> logits, const SamplingOptions& o, std::span<const int32_t> history) {
  penalized_.assign(logits.begin(), logits.end());
  const size_t window = std::min<size_t>(o.repeat_window, history.size());
  const auto recent = history.last(window);
  window_.assign(recent.begin(), recent.end());
  std::sort(window_.begin(), window_.end());
  for (size_t i = 0; i < window_.size();) {
    const int32_t token = window_[i];
    size_t end = i;
    while (end < window_.size() && window_[end] == token) ++end;
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) {
      float& logit = penalized_[static_cast<size_t>(token)];
      logit = logit > 0 ? logit / o.repeat_penalty : logit * o.repeat_penalty;
      logit -= o.presence_penalty + static_cast<float>(end - i) * o.frequency_penalty;
    }
    i = end;
  }
}

// order_ = the `count` best candidates, best first.
void Sampler::select_best(std::span<const float> logits, size_t count) {
  const Better better{logits};
  count = std::min(count, logits.size());
  order_.clear();
  constexpr size_t kHeapLimit = 2048;  // beyond it, selecting by partition costs less than a heap that changes often
  if (count <= kHeapLimit) {
    // A heap whose front is the worst of the best so far: nearly every candidate costs one comparison.
    for (size_t id = 0; id < logits.size(); ++id) {
      if (order_.size() < count) {
        order_.push_back(static_cast<int32_t>(id));
        std::push_heap(order_.begin(), order_.end(), better);
      } else if (logits[id] > logits[static_cast<size_t>(order_.front())]) {  // an equal logit has a higher id here: not better
        std::pop_heap(order_.begin(), order_.end(), better);
        order_.back() = static_cast<int32_t>(id);
        std::push_heap(order_.begin(), order_.end(), better);
      }
    }
    std::sort_heap(order_.begin(), order_.end(), better);
    return;
  }
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  if (count < order_.size()) {
    std::nth_element(order_.begin(), order_.begin() + static_cast<ptrdiff_t>(count), order_.end(), better);
    order_.resize(count);
  }
  std::sort(order_.begin(), order_.end(), better);
}

// weights_[id] = exp((logit - best) / temperature); returns their sum.
double Sampler::fill_weights(std::span<const float> logits, double best, double temperature) {
  weights_.resize(logits.size());
  double* const weights = weights_.data();
  for (size_t i = 0; i < logits.size(); ++i) weights[i] = portable_exp((static_cast<double>(logits[i]) - best) / temperature);
  return sum_in_order(weights_);
}

int32_t Sampler::draw_cut(std::span<const float> logits, double best, const SamplingOptions& o, double u) {
  const double temperature = o.temperature;
  const auto weight = [&](int32_t id) { return portable_exp((static_cast<double>(logits[static_cast<size_t>(id)]) - best) / temperature); };
  const size_t limit = o.top_k > 0 ? std::min<size_t>(static_cast<size_t>(o.top_k), logits.size()) : logits.size();
  double goal = std::numeric_limits<double>::infinity();  // the sum at which top_p is reached
  size_t count = limit;
  if (o.top_k == 0) {
    // Without top_k the sum runs over the whole vocabulary, but few candidates usually hold top_p of it: order those only, more if it takes more.
    if (o.top_p < 1) goal = static_cast<double>(o.top_p) * fill_weights(logits, best, temperature);
    count = std::min<size_t>(256, limit);
  }
  size_t kept = 0;
  for (;;) {
    select_best(logits, count);
    weights_.resize(order_.size());
    for (size_t i = 0; i < order_.size(); ++i) weights_[i] = weight(order_[i]);
    if (o.top_k > 0 && o.top_p < 1) goal = static_cast<double>(o.top_p) * sum_in_order(weights_);
    double sum = 0;
    bool complete = false;
    for (kept = 0; kept < weights_.size() && !complete; ++kept) {
      if (weights_[kept] < static_cast<double>(o.min_p) || weights_[kept] == 0) {  // the first weight is 1
        complete = true;
        break;
      }
      sum += weights_[kept];
      if (sum >= goal) complete = true;
    }
    if (complete || count == limit) break;
    count = std::min(count * 8, limit);
  }
  weights_.resize(kept);
  double left = u * sum_in_order(weights_);
  size_t at = 0;
  for (; at + 1 < kept; ++at) {
    left -= weights_[at];
    if (left < 0) break;
  }
  return order_[at];
}

Result<int32_t> Sampler::sample(std::span<const float> logits, const SamplingOptions& options, std::span<const int32_t> history,
                                uint64_t position, uint32_t stream) {
  if (options.has_penalties()) {
    KL_TRY(argmax(logits).status());
    penalize(logits, options, history);
    logits = penalized_;
  }
  KL_ASSIGN(const int32_t greedy, argmax(logits));
  if (options.temperature == 0 || options.top_k == 1) return greedy;
  const float best = logits[static_cast<size_t>(greedy)];
  if (options.top_p == 1 && options.min_p == 0) return draw(logits, best, draw_settings(options, position, stream));
  return draw_cut(logits, best, options, uniform(options.seed, stream, position));
}

Result<float> Sampler::logprobs(std::span<const float> logits, int32_t token, uint32_t n, std::vector<TokenLogprob>& top) {
  KL_ASSIGN(const int32_t greedy, argmax(logits));
  if (token < 0 || static_cast<size_t>(token) >= logits.size()) {
    return error(Code::invalid_argument, "token %d is not in the vocabulary of %zu", token, logits.size());
  }
  const double best = logits[static_cast<size_t>(greedy)];
  const double log_sum = std::log(fill_weights(logits, best, 1));
  const auto logprob = [&](int32_t id) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - best - log_sum);
  };
  select_best(logits, n);
  top.clear();
  for (const int32_t id : order_) top.push_back({id, logprob(id)});
  return logprob(token);
}

}  // namespace kl
