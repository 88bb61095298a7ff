#include "cpu/thread_team.h"

#include <algorithm>
#include <system_error>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "cpu/machine.h"

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
  // Threads beyond the processors would only take them from each other. They still count where work is cut into tasks.
  const uint32_t running = std::min(team->threads_, usable_cores());
  try {
    for (uint32_t t = 1; t < running; ++t) team->workers_.emplace_back([raw = team.get(), t] { raw->worker(t); });
  } catch (const std::system_error& refused) {
    return error(Code::out_of_memory, "the system gave %zu of the %u worker threads asked for (%s)", team->workers_.size(), running - 1,
                 refused.what());
  }
  return team;
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true, std::memory_order_relaxed);
  changes_.fetch_add(1, std::memory_order_release);
  changes_.notify_all();
  for (std::thread& each : workers_) each.join();
}

// Opens the first phase from `phase` on that is worth sharing, having run those of a single task here, or closes the job.
// Returns whether task 0 of the opened phase is the caller's. Called by the only thread that works on the job.
bool ThreadTeam::open_next(uint32_t phase, uint32_t thread) {
  uint32_t tasks = 0;
  const uint32_t phases = job_->phases();
  for (; phase < phases; ++phase) {
    tasks = job_->tasks(phase);
    if (tasks > 1) break;
    if (tasks == 1) job_->run(phase, 0, thread);
  }
  const bool open = phase < phases;
  phase_ = phase;
  done_.store(0, std::memory_order_relaxed);
  limit_.store(open ? tasks : 0, std::memory_order_relaxed);
  const uint32_t serial = ticket(ticket_.load(std::memory_order_relaxed)).serial + 1;
  ticket_.store(word({serial, open ? tasks - 1 : kClosed}), std::memory_order_release);
  // After a close the next job may be on its way already: only what any thread may touch at any time comes after.
  changes_.fetch_add(1, std::memory_order_release);
  changes_.notify_all();
  return open;
}

// Runs `task` of the open phase, and what else is free in it and in those this thread opens.
void ThreadTeam::work(uint32_t task, uint32_t thread) {
  while (true) {
    const uint32_t tasks = limit_.load(std::memory_order_relaxed);
    job_->run(phase_, task, thread);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == tasks) {
      if (!open_next(phase_ + 1, thread)) return;
      task = 0;
    } else if (!take(task)) {
      return;
    }
  }
}

// Takes a free task of the open phase. All that decides is in the ticket: whether a task is left, and that no other phase was opened since (else the
// exchange fails). limit_ may be read only once a task is held, for then the phase stays.
bool ThreadTeam::take(uint32_t& task) {
  uint64_t seen = ticket_.load(std::memory_order_acquire);
  while (true) {
    const uint32_t left = ticket(seen).left;
    if (left == kClosed || left == 0) return false;
    if (ticket_.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) {
      task = limit_.load(std::memory_order_relaxed) - left;
      return true;
    }
  }
}

void ThreadTeam::worker(uint32_t thread) {
  while (true) {
    const uint32_t changes = changes_.load(std::memory_order_acquire);  // before looking for an end or a task, so that no change is missed
    if (stop_.load(std::memory_order_relaxed)) return;
    if (uint32_t task = 0; take(task)) {
      work(task, thread);
    } else {
      await_change(changes_, changes);
    }
  }
}

void ThreadTeam::run(TeamJob& job) {
  job_ = &job;
  if (open_next(0, 0)) work(0, 0);
  while (true) {
    const uint32_t changes = changes_.load(std::memory_order_acquire);
    if (ticket(ticket_.load(std::memory_order_acquire)).left == kClosed) return;
    if (uint32_t task = 0; take(task)) {
      work(task, 0);
    } else {
      await_change(changes_, changes);
    }
  }
}

}  // namespace kl::cpu
