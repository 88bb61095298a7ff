// How many segments go into one queue submission, so that a submission keeps to its time: a desktop stays responsive and a watchdog quiet.
// Arithmetic only; the device brings the clock.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace kl::vulkan {

class SubmissionBudget {
 public:
  static constexpr std::chrono::milliseconds kTime{50};  // desktops drop frames from some 16 ms on, watchdogs bite after 2 s
  static constexpr uint32_t kFirst = 4;                  // segments, until some have been measured

  uint32_t at_once() const { return at_once_; }

  // What `count` segments took of a recording that has `all`. Segments of a model cost much the same (a layer each), so their mean is taken: fewer fit at once, from
  // the next submission on; more than before are trusted by doubling, since one that waits for nothing hides how long its work takes.
  void measured(uint32_t count, uint32_t all, std::chrono::nanoseconds time) {
    if (count == 0) return;
    const int64_t each = std::max<int64_t>(1, time.count() / count);
    const int64_t fits = std::chrono::nanoseconds(kTime).count() / each;
    at_once_ = static_cast<uint32_t>(std::clamp<int64_t>(fits, 1, std::min<int64_t>(2 * int64_t{at_once_}, std::max(1u, all))));
  }

 private:
  uint32_t at_once_ = kFirst;
};

}  // namespace kl::vulkan
