// A team of threads that run a job's phases one after another; the caller is thread 0.
//
// A phase is a number of tasks that any thread may take, and ends when its tasks are done, not when every thread has been there: a thread that the
// system took off its core is waited for only while it holds a task, and one that comes back late finds the phase that is open now. So a team on
// a machine whose cores are taken by others is as fast as the threads that do run. (With a barrier that every thread must reach, two threads beside two
// compiler runs decoded at a fifth of one thread's speed, three on two cores at a hundredth.)
// The thread that ends a phase opens the next; a phase of one task it runs itself, and the others hear of it only with the phase after.
// Waiting spins first, then parks, since parking costs 20 to 26 microseconds and a decode step has hundreds of phases.
// One caller at a time. The destructor joins the threads.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/status.h"

namespace kl::cpu {

// What a team runs. tasks() is called by one thread at a time, when all phases before are done, so it may write what run() of its phase reads.
class TeamJob {
 public:
  virtual uint32_t phases() const = 0;
  virtual uint32_t tasks(uint32_t phase) = 0;
  virtual void run(uint32_t phase, uint32_t task, uint32_t thread) = 0;

 protected:
  ~TeamJob() = default;
};

class ThreadTeam {
 public:
  // Errors: out_of_memory when the system refuses a thread.
  static Result<std::unique_ptr<ThreadTeam>> create(uint32_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  uint32_t threads() const { return threads_; }
  // Runs all phases; returns when every task is done. The job may go as soon as this returns.
  void run(TeamJob& job);

 private:
  // Which phase is open and how many of its tasks nobody has taken, in one word: a thread that slept through a change cannot take a task of another phase.
  struct Ticket {
    uint32_t serial, left;
  };
  static constexpr uint32_t kClosed = UINT32_MAX;  // Ticket::left between jobs
  static uint64_t word(Ticket t) { return uint64_t{t.serial} << 32 | t.left; }
  static Ticket ticket(uint64_t word) { return {static_cast<uint32_t>(word >> 32), static_cast<uint32_t>(word)}; }

  explicit ThreadTeam(uint32_t threads) : threads_(threads) {}
  void worker(uint32_t thread);
  bool open_next(uint32_t phase, uint32_t thread);
  bool take(uint32_t& task);
  void work(uint32_t task, uint32_t thread);

  const uint32_t threads_;
  std::vector<std::thread> workers_;
  // Read by a thread that holds a task; written when none is held.
  TeamJob* job_ = nullptr;
  uint32_t phase_ = 0;
  alignas(64) std::atomic<uint64_t> ticket_{word({0, kClosed})};
  std::atomic<uint32_t> limit_{0};             // tasks of the open phase
  std::atomic<uint32_t> changes_{0};           // of ticket_'s serial; what waiting threads wait on
  alignas(64) std::atomic<uint32_t> done_{0};  // tasks of the open phase that are done
  std::atomic<bool> stop_{false};
};

}  // namespace kl::cpu
