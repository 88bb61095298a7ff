// Wakes the scheduler thread. Held by whoever may have to do so; outlives the scheduler.
#pragma once
#include <condition_variable>
#include <mutex>

namespace kl {

class Waker {
 public:
  void wake() noexcept {
    {
      const std::lock_guard lock(mutex_);
      signalled_ = true;
    }
    condition_.notify_one();
  }
  // Returns when wake() was called since the last return.
  void wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [&] { return signalled_; });
    signalled_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool signalled_ = false;
};

}  // namespace kl
