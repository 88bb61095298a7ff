#include "cpu/roofline.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace kl::cpu {
namespace {

using Clock = std::chrono::steady_clock;

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};

constexpr size_t kHugePage = size_t{2} << 20;

std::unique_ptr<std::byte, Free> allocate(size_t bytes) {
  std::unique_ptr<std::byte, Free> memory(static_cast<std::byte*>(std::aligned_alloc(kHugePage, bytes)));
#ifdef __linux__
  if (memory != nullptr) madvise(memory.get(), bytes, MADV_HUGEPAGE);
#endif
  if (memory != nullptr) std::memset(memory.get(), 1, bytes);  // pages that were never written are all the same zero page
  return memory;
}

// Best of the rounds that fit `seconds` (at least 3), where a round lasts from the first thread's start to the last one's end by their own clocks (a
// caller that wakes late must not make the round look short). work(t) returns what thread t did.
Result<double> best_rate(unsigned threads, double seconds, const std::function<uint64_t(unsigned)>& work) {
  std::barrier<> gate(static_cast<ptrdiff_t>(threads) + 1);
  std::atomic<uint64_t> done{0};
  std::atomic<bool> stop{false};
  struct alignas(64) Span {
    Clock::time_point start, end;
  };
  std::vector<Span> spans(threads);
  std::vector<std::thread> team;
  const auto body = [&](unsigned t) {
    for (;;) {
      gate.arrive_and_wait();
      if (stop) return;
      spans[t].start = Clock::now();
      done += work(t);
      spans[t].end = Clock::now();
      gate.arrive_and_wait();
    }
  };
  Status failed;
  for (unsigned t = 0; t < threads; ++t) {
    try {
      team.emplace_back(body, t);
    } catch (const std::system_error&) {
      failed = error(Code::out_of_memory, "thread %u of %u for the measurement could not be started", t + 1, threads);
      for (unsigned missing = t; missing < threads; ++missing) gate.arrive_and_drop();
      break;
    }
  }
  double best = 0;
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int round = 0; failed.ok() && (round < 3 || Clock::now() < end); ++round) {
    done = 0;
    gate.arrive_and_wait();
    gate.arrive_and_wait();
    Span all = spans[0];
    for (const Span& span : spans) {
      if (span.start < all.start) all.start = span.start;
      if (span.end > all.end) all.end = span.end;
    }
    const double rate = static_cast<double>(done.load()) / std::chrono::duration<double>(all.end - all.start).count();
    if (rate > best) best = rate;
  }
  stop = true;
  gate.arrive_and_wait();
  for (std::thread& thread : team) thread.join();
  if (!failed.ok()) return failed;
  return best;
}

}  // namespace

Result<Roofline> measure_roofline(Isa isa, unsigned threads, const RooflineOptions& options) {
  if (threads == 0 || !isa_available(isa)) {
    return error(Code::invalid_argument, "measuring needs at least 1 thread and an available instruction set, got %u and %s", threads,
                 name(isa));
  }
  const size_t share = options.bytes / threads / kHugePage * kHugePage;
  if (share == 0)
    return error(Code::invalid_argument, "measuring needs at least 2 MiB a thread, got %zu bytes for %u", options.bytes, threads);
  const CpuKernels& kernel = kernels(isa);
  const std::unique_ptr<std::byte, Free> memory = allocate(share * threads);
  if (memory == nullptr) return error(Code::out_of_memory, "%zu bytes to read were not to be had", share * threads);
  std::atomic<uint64_t> sink{0};
  Roofline out{isa, threads, 0, 0, 0};
  KL_ASSIGN(out.read_bytes_per_second, best_rate(threads, options.seconds, [&](unsigned t) {
              sink += kernel.read_bytes(memory.get() + t * share, share);
              return static_cast<uint64_t>(share);
            }));
  constexpr size_t kRounds = 100000;  // some hundred microseconds to milliseconds
  KL_ASSIGN(out.dot_macs_per_second, best_rate(threads, options.seconds, [&](unsigned) {
              alignas(64) float lanes[16] = {};
              return kernel.dot_peak(kRounds, lanes);
            }));
  KL_ASSIGN(out.fma_macs_per_second, best_rate(threads, options.seconds, [&](unsigned) {
              alignas(64) float lanes[16] = {0.5f, 0.25f};
              return kernel.fma_peak(kRounds, lanes);
            }));
  return out;
}

}  // namespace kl::cpu
