// A team of threads that run the same function together; the caller is thread 0. Barriers spin first, then park, since parking costs 20 to 26
// microseconds and a decode step has hundreds of barriers 35 to 300 nanoseconds apart (measured; see docs/performance.md).
// One caller at a time. The destructor joins the threads.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/status.h"

namespace kl::cpu {

class ThreadTeam {
 public:
  using Work = void (*)(void* context, uint32_t thread);

  // Errors: out_of_memory when the system refuses a thread.
  static Result<std::unique_ptr<ThreadTeam>> create(uint32_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  uint32_t threads() const { return threads_; }
  // Calls work(context, 0 .. threads - 1), one on each thread, and returns when all are done.
  void run(Work work, void* context);
  // Inside work: waits for every thread of the team.
  void barrier();

 private:
  explicit ThreadTeam(uint32_t threads) : threads_(threads) {}
  void worker(uint32_t thread);

  const uint32_t threads_;
  std::vector<std::thread> workers_;
  Work work_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> job_{0};  // increases with every run; workers wait on it
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};  // increases with every barrier
  std::atomic<bool> stop_{false};
};

}  // namespace kl::cpu
