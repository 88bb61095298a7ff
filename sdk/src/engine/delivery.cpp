#include "engine/delivery.h"

#include <system_error>
#include <thread>
#include <utility>

#include "engine/generation.h"

namespace kl {

// Callbacks of one generation in a row before others take their turn.
constexpr uint32_t kEventsPerTurn = 32;

Status Delivery::start() {
  const std::lock_guard lock(mutex_);
  if (threads_ > 0 || spawn()) return {};
  return error(Code::out_of_memory, "the system gives no thread to deliver events on");
}

// Detached: a callback may destroy the engine, and a thread cannot join itself. Each holds this object.
bool Delivery::spawn() noexcept {
  try {
    std::thread([self = shared_from_this()] { self->work(); }).detach();
  } catch (const std::exception&) {  // std::system_error, std::bad_alloc
    return false;
  }
  ++threads_;
  return true;
}

void Delivery::enqueue(std::shared_ptr<Generation> generation) noexcept {
  {
    const std::lock_guard lock(mutex_);
    Generation* const added = generation.get();
    if (last_) {
      last_->next_ready_ = std::move(generation);
    } else {
      first_ = std::move(generation);
    }
    last_ = added;
    ++waiting_;
    if (waiting_ > idle_ && threads_ < kMaxThreads) (void)spawn();
  }
  arrived_.notify_one();
}

void Delivery::finish() noexcept {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  arrived_.notify_all();
}

void Delivery::run_task(void* task) {
  auto* const generation = static_cast<Generation*>(task);
  std::shared_ptr<Generation> self;
  {
    const std::lock_guard lock(generation->mutex_);
    self = std::move(generation->self_);
  }
  if (self && self->deliver(kEventsPerTurn)) self->delivery_->enqueue(self);
}

void Delivery::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    arrived_.wait(lock, [&] { return first_ || finished_; });
    --idle_;
    if (!first_) break;
    std::shared_ptr<Generation> generation = std::move(first_);
    first_ = std::move(generation->next_ready_);
    if (!first_) last_ = nullptr;
    --waiting_;
    lock.unlock();
    if (const auto post = generation->post_function()) {
      {
        const std::lock_guard hold(generation->mutex_);
        generation->self_ = generation;
      }
      post(&Delivery::run_task, generation.get());
    } else if (generation->deliver(kEventsPerTurn)) {
      enqueue(std::move(generation));
    }
    generation.reset();
    lock.lock();
  }
  --threads_;
}

}  // namespace kl
