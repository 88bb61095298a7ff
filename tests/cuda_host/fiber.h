// Fibers: what runs the threads of an emulated block on one thread of the host.
#pragma once
#include <cstddef>
#include <memory>

namespace kl::cuda_host {

// A stack with a suspended function on it. The function never returns; it switches away when it has nothing to do.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the fiber begin `entry` at its next resume(), whatever it was doing.
  void reset(void (*entry)());
  // Runs the fiber until it calls leave(). Called by the host's own stack only.
  void resume();
  // Back to resume()'s caller. Called on the fiber.
  void leave();
  // [begin, end) of the stack.
  bool holds(const void* address) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kl::cuda_host
