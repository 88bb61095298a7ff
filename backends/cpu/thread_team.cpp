#include "cpu/thread_team.h"

#include <system_error>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace kl::cpu {
namespace {

// Pauses before parking: about 40 microseconds, twice what parking and waking cost.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Until `word` differs from `old`.
void await_change(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace

Result<std::unique_ptr<ThreadTeam>> ThreadTeam::create(uint32_t threads) {
  std::unique_ptr<ThreadTeam> team(new ThreadTeam(threads == 0 ? 1 : threads));
  try {
    for (uint32_t t = 1; t < team->threads_; ++t) team->workers_.emplace_back([raw = team.get(), t] { raw->worker(t); });
  } catch (const std::system_error& refused) {
    return error(Code::out_of_memory, "the system gave %zu of the %u worker threads asked for (%s)", team->workers_.size(), threads - 1,
                 refused.what());
  }
  return team;
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& each : workers_) each.join();
}

void ThreadTeam::worker(uint32_t thread) {
  uint32_t seen = 0;
  while (true) {
    await_change(job_, seen);
    seen = job_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work_(context_, thread);
    barrier();
  }
}

void ThreadTeam::run(Work work, void* context) {
  if (threads_ == 1) return work(context, 0);
  work_ = work;
  context_ = context;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  work(context, 0);
  barrier();
}

void ThreadTeam::barrier() {
  if (threads_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
  } else {
    await_change(phase_, phase);
  }
}

}  // namespace kl::cpu
