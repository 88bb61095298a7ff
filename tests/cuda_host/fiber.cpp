#include "cuda_host/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace kl::cuda_host {
namespace {

constexpr size_t kStackBytes = size_t{256} << 10;  // address space; what a kernel touches of it is a few pages

}  // namespace

#if defined(__x86_64__)
// Saves what a called function must preserve (System V ABI) on the stack, and exchanges stacks. Some 2 ns; swapcontext makes two system calls.
extern "C" void kl_fiber_switch(void** save, void* load);
asm(R"(
.text
.type kl_fiber_switch, @function
kl_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size kl_fiber_switch, .-kl_fiber_switch
)");

struct Fiber::State {
  std::byte* stack = nullptr;
  void* own = nullptr;   // stack pointer while suspended
  void* host = nullptr;  // of resume()'s caller
};

void Fiber::reset(void (*entry)()) {
  auto* top = reinterpret_cast<uint64_t*>(state_->stack + kStackBytes);
  *--top = 0;  // where `entry` would return to: at a function's entry the stack is 8 off a multiple of 16
  *--top = reinterpret_cast<uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  state_->own = top;
}
void Fiber::resume() { kl_fiber_switch(&state_->host, state_->own); }
void Fiber::leave() { kl_fiber_switch(&state_->own, state_->host); }
#else
struct Fiber::State {
  std::byte* stack = nullptr;
  ucontext_t own{}, host{};
};

void Fiber::reset(void (*entry)()) {
  getcontext(&state_->own);
  state_->own.uc_stack.ss_sp = state_->stack;
  state_->own.uc_stack.ss_size = kStackBytes;
  state_->own.uc_link = nullptr;
  makecontext(&state_->own, entry, 0);
}
void Fiber::resume() { swapcontext(&state_->host, &state_->own); }
void Fiber::leave() { swapcontext(&state_->own, &state_->host); }
#endif

Fiber::Fiber() : state_(std::make_unique<State>()) {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) {
    std::perror("fiber stack");
    std::abort();
  }
  state_->stack = static_cast<std::byte*>(stack);
}
Fiber::~Fiber() { munmap(state_->stack, kStackBytes); }

bool Fiber::holds(const void* address) const {
  const auto* at = static_cast<const std::byte*>(address);
  return at >= state_->stack && at < state_->stack + kStackBytes;
}

}  // namespace kl::cuda_host
