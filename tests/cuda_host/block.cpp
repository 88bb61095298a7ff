#include "cuda_host/block.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "cuda_host/fiber.h"

namespace kl::cuda_host {

Index thread_index, block_index, block_size, grid_size;
Access (*on_access)(void* address) = nullptr;

namespace {

constexpr uint32_t kMaxThreads = 1024, kMaxWarps = kMaxThreads / kWarp, kBarriers = 16;
constexpr size_t kMostFindings = 8;

struct AsyncCopy {
  CellRange range;
  size_t offset = 0;
  std::byte* to = nullptr;
  const void* from = nullptr;
  uint32_t bytes = 0, zeros = 0;
};

struct Thread {
  Fiber fiber;
  Index index;
  bool done = true, started = false;
  bool fenced = false;          // since its last barrier
  bool counted = false;         // an atomicInc with no fence behind it yet
  bool waited = false;          // for the launches before
  const char* waits = nullptr;  // what for; null: it runs
  Site site;
  std::vector<AsyncCopy> open;                    // not committed
  std::vector<std::vector<AsyncCopy>> committed;  // oldest first
};

struct Counter {
  const unsigned* at;
  Site site;
};

struct Barrier {
  uint32_t expected = 0, arrived = 0;
  Site site;
  std::vector<uint16_t> waiting;
};

struct Collective {
  bool used = false;
  uint32_t mask = 0, arrived = 0, left = 0;
  const char* name = "";
  Site site;
  uint32_t words[kWarp][kCollectiveWords];
};

// Vector clocks of warps: clock[w][w] counts the warp's own synchronisations; clock[w][v] is the latest of warp v's that warp w knows of.
struct Warp {
  uint32_t clock[kMaxWarps] = {};
  Collective slots[kWarp * 2];
  uint32_t open = 0;  // slots in use, at most
  int reading[kWarp] = {};
};

struct Block {
  std::vector<std::unique_ptr<Thread>> threads;
  std::unique_ptr<Warp[]> warps{new Warp[kMaxWarps]};
  Barrier barriers[kBarriers];
  std::vector<uint16_t> ready;
  uint32_t count = 0, warp_count = 0, current = 0, alive = 0;
  uint64_t serial = 0, random = 1;
  std::string kernel;
  void (*body)(const void*) = nullptr;
  const void* args = nullptr;
  std::vector<std::string> findings;
  std::vector<Counter> counters;  // of the launch
  bool ahead = false;             // the launch may have begun before the one before it ended ...
  bool only_ahead = false;        // ... and that one has not ended yet
  bool broken = false;            // the block cannot go on
  bool running = false;
  std::vector<std::byte> dynamic;
  std::vector<Cell> dynamic_cells;
  uint32_t dynamic_bytes = 0;
};

// One launch runs at a time: a device is not thread-safe.
Block& self() {
  static auto* const block = new Block;
  return *block;
}

uint64_t next_random(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

std::string place(const Site& site) {
  const char* slash = std::strrchr(site.file_name(), '/');
  return std::string(slash != nullptr ? slash + 1 : site.file_name()) + ":" + std::to_string(site.line());
}

std::string thread_name(const Block& b, uint32_t thread) {
  const Index& i = b.threads[thread]->index;
  return "thread (" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

void found(Block& b, const std::string& what) {
  if (b.findings.size() >= kMostFindings) return;
  b.findings.push_back(what + " [" + b.kernel + ", block (" + std::to_string(block_index.x) + "," + std::to_string(block_index.y) + "," +
                       std::to_string(block_index.z) + ")]");
}

Thread& current(Block& b) { return *b.threads[b.current]; }

// Gives up the processor until somebody puts the thread on the ready list.
void wait_for(Block& b, const char* what, const Site& site) {
  Thread& t = current(b);
  t.waits = what;
  t.site = site;
  t.fiber.leave();
  t.waits = nullptr;
}

// The current thread never goes on.
[[noreturn]] void stop(Block& b) {
  b.broken = true;
  for (;;) current(b).fiber.leave();
}

// A thread is at a barrier or at its end: nothing that it counted may be without a fence.
void check_fences(Block& b, Thread& t) {
  if (t.counted) found(b, "atomicInc without a fence behind it: " + thread_name(b, b.current));
  t.counted = t.fenced = false;
}

void fiber_main() {
  for (;;) {
    Block& b = self();
    b.body(b.args);
    Thread& t = current(b);
    if (!t.open.empty() || !t.committed.empty()) found(b, "cp.async copies of " + thread_name(b, b.current) + " were never waited for");
    t.open.clear();
    t.committed.clear();
    check_fences(b, t);
    if (b.ahead && !t.waited) found(b, "ended without having waited for the launch before: " + thread_name(b, b.current));
    t.done = true;
    --b.alive;
    t.fiber.leave();
  }
}

// An access outside all memory: the device's guard pages make it a signal here.
void on_fault(int signal_number, siginfo_t* info, void*) {
  Block& b = self();
  if (!b.running) {
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    return;
  }
  const Access access = on_access == nullptr ? Access::illegal : on_access(info->si_addr);
  if (access == Access::allowed) return;
  char text[64];
  (void)std::snprintf(text, sizeof text, "%s %p", kIllegalAddress, info->si_addr);
  found(b, (access == Access::illegal ? std::string(text) : "what launches write is") + " touched by " + thread_name(b, b.current) +
               (access == Access::illegal ? "" : " before it has waited for the launch before"));
  b.broken = true;
  current(b).started = false;
  for (;;) current(b).fiber.leave();
}

void catch_faults() {
  static const bool once = [] {
    static std::byte stack[size_t{64} << 10];
    stack_t alternative{};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof stack;
    sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // the handler leaves by a switch of stacks
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    return true;
  }();
  (void)once;
}

void run_block(Block& b) {
  ++b.serial;
  b.alive = b.count;
  b.ready.clear();
  for (Barrier& barrier : b.barriers) {
    barrier.arrived = 0;
    barrier.waiting.clear();
  }
  for (uint32_t w = 0; w < b.warp_count; ++w) {
    std::fill(std::begin(b.warps[w].clock), std::end(b.warps[w].clock), 0u);
    b.warps[w].clock[w] = 1;
    for (uint32_t i = 0; i < b.warps[w].open; ++i) b.warps[w].slots[i].used = false;
    b.warps[w].open = 0;
    std::fill(std::begin(b.warps[w].reading), std::end(b.warps[w].reading), -1);
  }
  for (uint32_t t = 0; t < b.count; ++t) {
    Thread& thread = *b.threads[t];
    if (!thread.started) thread.fiber.reset(fiber_main);
    thread.started = true;
    thread.done = false;
    thread.fenced = thread.counted = thread.waited = false;
    thread.waits = nullptr;
    thread.index = {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
    b.ready.push_back(static_cast<uint16_t>(t));
  }
  b.running = true;
  while (!b.ready.empty() && !b.broken) {
    const size_t pick = next_random(b.random) % b.ready.size();
    b.current = b.ready[pick];
    b.ready[pick] = b.ready.back();
    b.ready.pop_back();
    thread_index = current(b).index;
    current(b).fiber.resume();
  }
  b.running = false;
  if (!b.broken && b.alive > 0 && !b.only_ahead) {
    std::string what = "threads wait for others that do not come:";
    uint32_t named = 0, waiting = 0;
    for (uint32_t t = 0; t < b.count; ++t) {
      if (b.threads[t]->waits == nullptr) continue;
      ++waiting;
      if (named++ < 3) what += " " + thread_name(b, t) + " at " + b.threads[t]->waits + " " + place(b.threads[t]->site) + ",";
    }
    found(b, what + " " + std::to_string(waiting) + " of " + std::to_string(b.count) + " wait, " + std::to_string(b.count - b.alive) +
                 " have ended");
    b.broken = true;
  }
  if (!b.broken && !b.only_ahead) return;
  for (uint32_t t = 0; t < b.count; ++t) {  // what they were in the middle of is forgotten
    Thread& thread = *b.threads[t];
    if (!thread.done) thread.started = false;
    thread.open.clear();
    thread.committed.clear();
  }
}

bool ordered(const Block& b, uint32_t thread, uint32_t clock) {
  const uint32_t own = b.current / kWarp, other = thread / kWarp;
  return thread == b.current || b.warps[own].clock[other] > clock;
}

void race(Block& b, const CellRange& range, size_t offset, const char* other_did, uint32_t other, const char* did, const Site& site) {
  found(b, std::string("race on shared ") + range.name + " byte " + std::to_string(offset) + ": " + thread_name(b, b.current) + " " + did +
               " at " + place(site) + " what " + thread_name(b, other) + " " + other_did + " with no barrier between");
}

}  // namespace

namespace {

// Empty: the block's threads are there for a launch of this shape.
std::string prepare(Block& b, const std::string& kernel, void (*body)(const void*), const void* args, const LaunchShape& shape) {
  catch_faults();
  b.kernel = kernel;
  b.body = body;
  b.args = args;
  b.findings.clear();
  b.counters.clear();
  b.broken = false;
  b.ahead = shape.ahead;
  b.only_ahead = false;
  b.count = shape.block.x * shape.block.y * shape.block.z;
  b.random = shape.seed * 0x9e3779b97f4a7c15u + 0x1234567;
  if (b.random == 0) b.random = 1;
  if (b.count == 0 || b.count > kMaxThreads) return "a block of " + std::to_string(b.count) + " threads [" + kernel + "]";
  b.warp_count = (b.count + kWarp - 1) / kWarp;
  while (b.threads.size() < b.count) b.threads.push_back(std::make_unique<Thread>());
  b.dynamic_bytes = shape.shared_bytes;
  if (b.dynamic.size() < shape.shared_bytes + 16) b.dynamic.resize(shape.shared_bytes + 16);
  if (b.dynamic_cells.size() < shape.shared_bytes) b.dynamic_cells.resize(shape.shared_bytes);
  block_size = shape.block;
  grid_size = shape.grid;
  return {};
}

void run_block_number(Block& b, uint64_t number) {
  block_index = {static_cast<unsigned>(number % grid_size.x), static_cast<unsigned>(number / grid_size.x % grid_size.y),
                 static_cast<unsigned>(number / (uint64_t{grid_size.x} * grid_size.y))};
  run_block(b);
}

}  // namespace

std::vector<std::string> run_launch(const std::string& kernel, void (*body)(const void*), const void* args, const LaunchShape& shape) {
  Block& b = self();
  if (std::string wrong = prepare(b, kernel, body, args, shape); !wrong.empty()) return {wrong};
  // Blocks in an order of their own: a step through all of them that has no common factor with their number.
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  uint64_t at = blocks == 0 ? 0 : next_random(b.random) % blocks, step = blocks == 0 ? 1 : next_random(b.random) % blocks | 1;
  const auto common = [](uint64_t x, uint64_t y) {
    while (y != 0) x = std::exchange(y, x % y);
    return x;
  };
  while (common(blocks, step) > 1) step += 2;
  for (uint64_t done = 0; done < blocks && !b.broken; ++done) {
    run_block_number(b, at);
    at = (at + step) % blocks;
  }
  for (size_t i = 0; i < b.counters.size() && !b.broken; ++i) {
    const Counter& c = b.counters[i];
    if (*c.at != 0) found(b, "a counter of " + place(c.site) + " is left at " + std::to_string(*c.at));
  }
  return b.findings;
}

std::vector<std::string> run_ahead(const std::string& kernel, void (*body)(const void*), const void* args, const LaunchShape& shape) {
  Block& b = self();
  if (std::string wrong = prepare(b, kernel, body, args, shape); !wrong.empty()) return {wrong};
  b.only_ahead = true;
  const uint64_t blocks = uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z;
  run_block_number(b, next_random(b.random) % blocks);
  if (!b.broken) run_block_number(b, blocks - 1);  // the one most likely to have nothing to do
  b.only_ahead = false;
  return b.findings;
}

void wait_for_launches_before(const Site& site) {
  Block& b = self();
  current(b).waited = true;
  if (b.only_ahead) wait_for(b, "the launch before", site);  // the block is forgotten while it waits
}

void report(const std::string& what, const Site& site) {
  Block& b = self();
  found(b, what + " by " + thread_name(b, b.current) + " at " + place(site));
}

uint32_t lane() { return self().current % kWarp; }

void count_in(const unsigned* counter, const Site& site) {
  Block& b = self();
  Thread& t = current(b);
  if (!t.fenced) report("atomicInc without a fence before it", site);
  t.counted = true;
  for (const Counter& c : b.counters) {
    if (c.at == counter) return;
  }
  b.counters.push_back({counter, site});
}

void fence() {
  Thread& t = current(self());
  t.fenced = true;
  t.counted = false;
}

void barrier(uint32_t id, uint32_t threads, const Site& site) {
  Block& b = self();
  check_fences(b, current(b));
  Barrier& barrier = b.barriers[id % kBarriers];
  const uint32_t expected = threads == 0 ? b.count : threads;
  if (barrier.arrived == 0) {
    barrier.expected = expected;
    barrier.site = site;
  } else if (barrier.expected != expected || barrier.site.line() != site.line() ||
             std::strcmp(barrier.site.file_name(), site.file_name()) != 0) {
    found(b, "divergence at a barrier: " + thread_name(b, b.current) + " is at " + place(site) + ", others at " + place(barrier.site));
    stop(b);
  }
  if (++barrier.arrived < barrier.expected) {
    barrier.waiting.push_back(static_cast<uint16_t>(b.current));
    wait_for(b, "a barrier", site);
    return;
  }
  // All are here: every warp that took part knows what each of them has done.
  uint32_t latest[kMaxWarps] = {};
  bool takes_part[kMaxWarps] = {};
  takes_part[b.current / kWarp] = true;
  for (const uint16_t t : barrier.waiting) takes_part[t / kWarp] = true;
  for (uint32_t w = 0; w < b.warp_count; ++w) {
    if (!takes_part[w]) continue;
    for (uint32_t v = 0; v < b.warp_count; ++v) latest[v] = std::max(latest[v], b.warps[w].clock[v]);
  }
  for (uint32_t w = 0; w < b.warp_count; ++w) {
    if (!takes_part[w]) continue;
    for (uint32_t v = 0; v < b.warp_count; ++v) b.warps[w].clock[v] = latest[v] + (takes_part[v] ? 1 : 0);
  }
  b.ready.insert(b.ready.end(), barrier.waiting.begin(), barrier.waiting.end());
  barrier.waiting.clear();
  barrier.arrived = 0;
}

Gathered gather(uint32_t mask, const uint32_t* words, uint32_t count, const char* name, const Site& site) {
  Block& b = self();
  const uint32_t w = b.current / kWarp, l = b.current % kWarp, bit = 1u << l;
  Warp& warp = b.warps[w];
  if (warp.reading[l] >= 0) {  // what the last collective brought has been used by now
    Collective& old = warp.slots[warp.reading[l]];
    if ((old.left &= ~bit) == 0) old.used = false;
    warp.reading[l] = -1;
  }
  const uint32_t present = b.count - w * kWarp >= kWarp ? kFullMask : (1u << (b.count - w * kWarp)) - 1;
  if ((mask & bit) == 0) {
    found(b, std::string(name) + " with a mask that lacks its own lane: " + thread_name(b, b.current) + " at " + place(site));
    stop(b);
  }
  mask &= present;
  uint32_t at = kWarp * 2;
  for (uint32_t i = 0; i < warp.open; ++i) {
    Collective& c = warp.slots[i];
    if (!c.used || c.arrived == c.mask) continue;
    if (c.mask == mask && (c.arrived & bit) == 0) {
      at = i;
      break;
    }
    if ((c.mask & mask) != 0) {
      found(b, std::string("lanes of a warp disagree about a mask: ") + thread_name(b, b.current) + " at " + place(site) + ", others at " +
                   place(c.site));
      stop(b);
    }
  }
  if (at == kWarp * 2) {
    for (at = 0; at < warp.open && warp.slots[at].used; ++at) {
    }
    warp.open = std::max(warp.open, at + 1);
    Collective& c = warp.slots[at];
    c.used = true;
    c.mask = c.left = mask;
    c.arrived = 0;
    c.name = name;
    c.site = site;
  }
  Collective& c = warp.slots[at];
  if (std::strcmp(c.name, name) != 0 || c.site.line() != site.line()) {
    found(b, "divergence in a warp: " + thread_name(b, b.current) + " is at " + name + " " + place(site) + ", others at " + c.name + " " +
                 place(c.site));
    stop(b);
  }
  for (uint32_t i = 0; i < count; ++i) c.words[l][i] = words[i];
  c.arrived |= bit;
  warp.reading[l] = static_cast<int>(at);
  if (c.arrived != c.mask) {
    wait_for(b, name, site);
  } else {
    // What lanes did before is before what they do after; a part of a warp orders nothing for the rest, so the clock stays.
    if (c.mask == present) ++warp.clock[w];
    for (uint32_t rest = c.mask & ~bit; rest != 0; rest &= rest - 1)
      b.ready.push_back(static_cast<uint16_t>(w * kWarp + static_cast<uint32_t>(__builtin_ctz(rest))));
  }
  return {c.words, c.mask};
}

void touch(const CellRange& range, size_t offset, size_t bytes, bool write, const Site& site) {
  Block& b = self();
  if (offset + bytes > range.bytes) {
    found(b, std::string("shared ") + range.name + " has " + std::to_string(range.bytes) + " bytes: " + thread_name(b, b.current) + " at " +
                 place(site) + " touches byte " + std::to_string(offset + bytes - 1));
    stop(b);
  }
  const auto me = static_cast<uint16_t>(b.current);
  const uint32_t clock = b.warps[b.current / kWarp].clock[b.current / kWarp];
  for (size_t i = offset / range.granule; i <= (offset + bytes - 1) / range.granule; ++i) {
    Cell& cell = range.cells[i];
    if (cell.block != b.serial) {
      cell = Cell{};
      cell.block = b.serial;
    }
    const size_t at = i * range.granule;
    if (cell.pending != Cell::kNobody) {
      found(b, std::string("shared ") + range.name + " byte " + std::to_string(at) + " is used by " + thread_name(b, b.current) + " at " +
                   place(site) + " before the cp.async of " + thread_name(b, cell.pending) + " was waited for");
    }
    if (cell.writer != Cell::kNobody && !ordered(b, cell.writer, cell.write_clock))
      race(b, range, at, "wrote", cell.writer, write ? "writes" : "reads", site);
    if (write) {
      for (int r = 0; r < 2; ++r) {
        if (cell.reader[r] != Cell::kNobody && !ordered(b, cell.reader[r], cell.read_clock[r]))
          race(b, range, at, "read", cell.reader[r], "writes", site);
      }
      cell.writer = me;
      cell.write_clock = clock;
    } else {
      if (cell.writer == Cell::kNobody && cell.pending == Cell::kNobody)
        found(b, std::string("shared ") + range.name + " byte " + std::to_string(at) + " is read by " + thread_name(b, b.current) + " at " +
                     place(site) + " and was never written");
      if (cell.reader[0] != me) {
        cell.reader[1] = cell.reader[0];
        cell.read_clock[1] = cell.read_clock[0];
        cell.reader[0] = me;
      }
      cell.read_clock[0] = clock;
    }
  }
}

std::byte* dynamic_shared(CellRange& range) {
  Block& b = self();
  range = {b.dynamic_cells.data(), "dynamic memory", 1, b.dynamic_bytes};
  return b.dynamic.data() + (16 - reinterpret_cast<uintptr_t>(b.dynamic.data()) % 16) % 16;
}

void async_copy(const CellRange& range, size_t offset, std::byte* to, const void* from, uint32_t bytes, uint32_t zeros, const Site& site) {
  Block& b = self();
  touch(range, offset, bytes, true, site);  // now and at the wait: it may happen at any time between
  for (size_t i = offset / range.granule; i <= (offset + bytes - 1) / range.granule; ++i)
    range.cells[i].pending = static_cast<uint16_t>(b.current);
  std::memset(to, 0xff, bytes);
  current(b).open.push_back({range, offset, to, from, bytes, zeros});
}

void async_commit() {
  Thread& t = current(self());
  t.committed.push_back(std::move(t.open));
  t.open.clear();
}

void async_wait(uint32_t pending_groups, const Site& site) {
  Block& b = self();
  Thread& t = current(b);
  while (t.committed.size() > pending_groups) {
    for (const AsyncCopy& copy : t.committed.front()) {
      if (copy.zeros < copy.bytes) std::memcpy(copy.to, copy.from, copy.bytes - copy.zeros);
      std::memset(copy.to + copy.bytes - copy.zeros, 0, copy.zeros);
      for (size_t i = copy.offset / copy.range.granule; i <= (copy.offset + copy.bytes - 1) / copy.range.granule; ++i)
        copy.range.cells[i].pending = Cell::kNobody;
      touch(copy.range, copy.offset, copy.bytes, true, site);
    }
    t.committed.erase(t.committed.begin());
  }
}

}  // namespace kl::cuda_host
