// Threads that run the app's callbacks. As many as there are callbacks waiting, up to 8; they end when the engine does and nothing is left to deliver.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/status.h"

namespace kl {

class Generation;

class Delivery : public std::enable_shared_from_this<Delivery> {
 public:
  static constexpr uint32_t kMaxThreads = 8;

  // At least one thread runs afterwards. Error out_of_memory: the system gives no thread. Thread-safe.
  Status start();
  // Thread-safe, allocates nothing but, at need, another thread (without which it goes on with those there are).
  void enqueue(std::shared_ptr<Generation> generation) noexcept;
  // The threads end when the queue is empty; what is enqueued later is delivered by threads made for it. Does not wait: the caller may be one of them.
  void finish() noexcept;

 private:
  void work();
  bool spawn() noexcept;  // mutex_ held
  static void run_task(void* task);

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::shared_ptr<Generation> first_;
  Generation* last_ = nullptr;
  uint32_t threads_ = 0, idle_ = 0, waiting_ = 0;
  bool finished_ = false;
};

}  // namespace kl
