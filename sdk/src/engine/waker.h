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
  // Somebody called wake() since the last clear() or the last return of wait(): something may have changed.
  bool signalled() const noexcept {
    const std::lock_guard lock(mutex_);
    return signalled_;
  }
  // Before looking at what may have changed.
  void clear() noexcept {
    const std::lock_guard lock(mutex_);
    signalled_ = false;
  }
  // Returns when wake() was called since the last return or clear().
  void wait() {
    std::unique_lock lock(mutex_);
    condition_.wait(lock, [&] { return signalled_; });
    signalled_ = false;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable condition_;
  bool signalled_ = false;
};

}  // namespace kl
