// A GPU with a context and a stream of our own: what memory, kernels and recordings share, and what outlives them. Not thread-safe, like the Device above it.
// The context is not the primary one: what goes wrong in it does not end the app's own use of CUDA.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "backend/module.h"
#include "cuda/driver.h"

namespace kl::cuda {

// What addresses and sizes on the device are multiples of.
inline constexpr uint64_t kAlignment = 256;
inline constexpr int kOldestArchitecture = 75;  // sm_75: the first with the instructions that every kernel may use

struct Gpu {
  int device = 0;        // of the driver
  int architecture = 0;  // 10 * major + minor
  int multiprocessors = 0;
  int clock_khz = 0;
  int driver_version = 0;
  uint64_t memory_bytes = 0;
  uint32_t max_shared = 0;  // bytes a block may ask for
  bool integrated = false;
  bool programmatic =
      false;  // launches of a graph may begin before the one before has ended (common/kernel.cuh): the card and its driver can
  std::string name, uuid;

  BackendDevice describe() const;
  // Multiprocessors times clock, by which GPUs of a machine are ordered: architecture first where they differ by a generation is not worth its surprises.
  uint64_t strength() const { return static_cast<uint64_t>(multiprocessors) * static_cast<uint64_t>(clock_khz); }
};

// The GPUs that can run us, the strongest first. Errors: not_found, with the reason for each that cannot.
Result<std::vector<Gpu>> list_gpus(const Driver& driver);

class Context {
 public:
  // device: index into list_gpus(). Errors: not_found, out_of_memory, device_lost.
  static Result<std::shared_ptr<Context>> open(const Driver& driver, uint32_t device);
  explicit Context(const Driver& driver) : driver_(driver) {}
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Makes the context current for its scope, and what was current before again behind it. Every call that reaches the driver stands in one.
  class Use {
   public:
    explicit Use(const Context& context);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    const Driver* driver_;
  };

  const Driver& driver() const { return driver_; }
  const Gpu& gpu() const { return gpu_; }
  Stream stream() const { return stream_; }

  // ok, or the error a result means. What a driver reports from then on for every call (a fault of a kernel, a card that fell off its bus) poisons the context.
  Status check(int code, const char* call);
  // ok, or why this device is not used any more.
  const Status& lost() const { return lost_; }
  // The work of a poisoned context may still run: what it uses is left where it is instead of being freed under it.
  bool abandoned() const { return abandoned_; }

  // Marks the place in the stream; wait() may be asked for it. Errors: device_lost, busy (too many tickets are out).
  Result<uint64_t> mark();
  // Not marked: internal. A wait that times out poisons: the device is abandoned and never waited for again.
  Status wait(uint64_t ticket, std::chrono::milliseconds timeout);
  // Until everything in the stream is done: copies.
  Status finish();

 private:
  static constexpr uint32_t kTickets = 8;
  struct Slot {
    Event event = nullptr;
    uint64_t ticket = 0;  // 0: free
  };
  Status start();

  const Driver& driver_;
  Gpu gpu_;
  DriverContext context_ = nullptr;
  Stream stream_ = nullptr;
  Slot slots_[kTickets];
  uint64_t next_ticket_ = 1;
  Status lost_;
  bool abandoned_ = false;
};

}  // namespace kl::cuda
