// The threads of one emulated block, and how they meet: block barriers, warp collectives, shared memory with its race check, cp.async.
// Everything here is called from kernel bodies (through emulation.h), on the fiber of the thread that calls.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

namespace kl::cuda_host {

using Site = std::source_location;

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// Of the running thread.
extern Index thread_index, block_index, block_size, grid_size;

// A launch as the driver gives it.
struct LaunchShape {
  Index grid{1, 1, 1}, block{1, 1, 1};
  uint32_t shared_bytes = 0;
  uint64_t seed = 0;   // of the order in which threads and blocks run
  bool ahead = false;  // it may begin before the launch before it has ended: every thread waits for that one before it ends
};

// Runs a kernel body for every block of a launch. Returns what the checks found, empty for a launch in order: each line names kernel, block, thread. A block
// that cannot go on ends the launch.
std::vector<std::string> run_launch(const std::string& kernel, void (*body)(const void* args), const void* args, const LaunchShape& shape);
// A launch found an access outside all memory (the message of findings it then returns begins so).
inline constexpr const char* kIllegalAddress = "illegal address";

// ---- launches that begin ahead ----

// Runs some blocks of a launch as far as they come without waiting for the launch before, and forgets them. Returns findings as run_launch does.
std::vector<std::string> run_ahead(const std::string& kernel, void (*body)(const void* args), const void* args, const LaunchShape& shape);
void wait_for_launches_before(const Site& site);

// What an access that faults is: `allowed` now, of no memory, or of what only those may touch who have waited. The driver's.
enum class Access : uint8_t { allowed, illegal, too_early };
extern Access (*on_access)(void* address);

// ---- barriers ----

// Barrier `id` of the block, complete when `threads` threads have come (0: all of the block). Threads of one barrier must come from one place in the source.
void barrier(uint32_t id, uint32_t threads, const Site& site);

// ---- warp collectives ----

constexpr uint32_t kWarp = 32, kFullMask = ~0u, kCollectiveWords = 10;

// What the lanes of a collective brought, by lane: valid until this thread's next collective.
struct Gathered {
  const uint32_t (*words)[kCollectiveWords];
  uint32_t mask;
};
// Waits for all lanes of `mask`, each bringing `count` words. `name` and `site` must be the same for all of them.
Gathered gather(uint32_t mask, const uint32_t* words, uint32_t count, const char* name, const Site& site);
uint32_t lane();
// A kernel's own mistake that a wrapper noticed.
void report(const std::string& what, const Site& site);

// ---- shared memory ----

// What was done last to one cell (1, 2 or 4 bytes) of shared memory.
struct Cell {
  static constexpr uint16_t kNobody = 0xffff;
  uint64_t block = 0;  // serial number of the block that used it last
  uint32_t write_clock = 0, read_clock[2] = {0, 0};
  uint16_t writer = kNobody, reader[2] = {kNobody, kNobody};
  uint16_t pending = kNobody;  // the thread whose cp.async is still to come
};

// A range of cells, for the checks.
struct CellRange {
  Cell* cells = nullptr;
  const char* name = "";
  uint32_t granule = 1, bytes = 0;
};
void touch(const CellRange& range, size_t offset, size_t bytes, bool write, const Site& site);
// The block's dynamic shared memory: 16-byte aligned.
std::byte* dynamic_shared(CellRange& range);

// ---- blocks that count themselves in (atomicInc) ----

// A thread that counts its block in has made a fence since its last barrier (else what the block wrote is not before the count) and makes another before its next one
// (else what others wrote is not behind it), and when a launch ends every counter is 0 again, for the next launch.
void count_in(const unsigned* counter, const Site& site);
void fence();

// ---- cp.async ----

void async_copy(const CellRange& range, size_t offset, std::byte* to, const void* from, uint32_t bytes, uint32_t zeros, const Site& site);
void async_commit();
void async_wait(uint32_t pending_groups, const Site& site);

}  // namespace kl::cuda_host
