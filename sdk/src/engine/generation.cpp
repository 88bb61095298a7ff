#include "engine/generation.h"

#include "engine/delivery.h"
#include "engine/waker.h"

namespace kl {

Generation::Generation(uint32_t capacity, std::shared_ptr<Waker> scheduler, std::shared_ptr<Delivery> delivery)
    : scheduler_(std::move(scheduler)), delivery_(std::move(delivery)), ring_(size_t{capacity} + 2), capacity_(capacity) {}

bool Generation::has_room(size_t tokens) const noexcept {
  const std::lock_guard lock(mutex_);
  return count_ + tokens <= capacity_;
}

void Generation::push(Event&& event) noexcept {
  std::unique_lock lock(mutex_);
  if (final_ || detached_ || count_ == ring_.size()) return;  // a full ring is the scheduler's mistake: it asks has_room first
  ring_[(first_ + count_) % ring_.size()] = std::move(event);
  ++count_;
  arrived_.notify_all();
  schedule_delivery(lock);
}

void Generation::progress(uint32_t done, uint32_t total) noexcept {
  std::unique_lock lock(mutex_);
  if (final_ || detached_) return;
  progress_ = Event{.kind = EventKind::progress, .prompt_done = done, .prompt_total = total};
  arrived_.notify_all();
  schedule_delivery(lock);
}

void Generation::end(Event&& final) noexcept {
  std::unique_lock lock(mutex_);
  if (final_) return;
  final_ = std::move(final);
  stats_.ended = true;
  arrived_.notify_all();
  schedule_delivery(lock);
}

void Generation::cancel() noexcept {
  cancelled_.store(true, std::memory_order_relaxed);
  scheduler_->wake();
}

bool Generation::ended() const noexcept {
  const std::lock_guard lock(mutex_);
  return final_.has_value();
}

GenerationStats Generation::stats() const noexcept {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool Generation::pop(Event& out) {
  if (progress_) {
    out = std::move(*progress_);
    progress_.reset();
    return true;
  }
  if (count_ > 0) {
    out = std::move(ring_[first_]);
    first_ = (first_ + 1) % ring_.size();
    --count_;
    return true;
  }
  return false;
}

Result<Event> Generation::next(int32_t timeout_ms) {
  std::unique_lock lock(mutex_);
  if (listener_) return error(Code::busy, "the generation has a listener: its events go there");
  if (reading_) return error(Code::busy, "another thread is waiting for this generation's events");
  const auto something = [&] { return progress_ || count_ > 0 || final_; };
  reading_ = true;
  if (timeout_ms < 0) {
    arrived_.wait(lock, something);
  } else if (timeout_ms > 0) {
    (void)arrived_.wait_for(lock, std::chrono::milliseconds(timeout_ms), something);
  }
  reading_ = false;
  const bool was_full = count_ >= capacity_;
  Event event;
  if (!pop(event) && final_) event = *final_;
  const bool has_room_again = was_full && count_ < capacity_;
  lock.unlock();
  if (has_room_again) scheduler_->wake();
  return event;
}

Status Generation::listen(Listener listener) {
  auto held = std::make_shared<Listener>(std::move(listener));
  std::unique_lock lock(mutex_);
  if (listener_) return error(Code::busy, "the generation already has a listener");
  if (reading_) return error(Code::busy, "another thread is waiting for this generation's events");
  KL_TRY(delivery_->start());
  listener_ = std::move(held);
  if (progress_ || count_ > 0 || final_) schedule_delivery(lock);
  return {};
}

void Generation::detach() noexcept {
  std::unique_lock lock(mutex_);
  detached_ = true;
  count_ = 0;
  progress_.reset();
  schedule_delivery(lock);
}

// Puts the generation in the delivery queue unless it is there. mutex_ is held.
void Generation::schedule_delivery(std::unique_lock<std::mutex>&) noexcept {
  if (!listener_ || scheduled_ || released_) return;
  scheduled_ = true;
  delivery_->enqueue(shared_from_this());
}

std::function<void(void (*)(void*), void*)> Generation::post_function() const {
  const std::lock_guard lock(mutex_);
  return listener_ ? listener_->post : nullptr;
}

bool Generation::deliver(uint32_t limit) {
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Listener> listener = listener_;
  for (uint32_t n = 0;; ++n) {
    if (detached_ || final_delivered_) {
      // The end: nothing will be delivered any more, whatever still arrives.
      const bool first = !released_;
      released_ = true;
      scheduled_ = false;
      lock.unlock();
      if (first && listener->release) listener->release();
      return false;
    }
    if (n == limit) return true;  // scheduled_ stays: others take their turn first
    Event event;
    const bool was_full = count_ >= capacity_;
    if (!pop(event)) {
      if (!final_) {
        scheduled_ = false;
        return false;
      }
      event = std::move(*final_);  // nobody else reads it: next() refuses when there is a listener
      final_delivered_ = true;
    }
    const bool has_room_again = was_full && count_ < capacity_;
    lock.unlock();
    if (has_room_again) scheduler_->wake();
    try {
      listener->on_event(event);
    } catch (...) {  // NOLINT(bugprone-empty-catch): an exception of the app's callback ends here, for no caller could receive it
    }
    lock.lock();
  }
}

}  // namespace kl
