// Who has a place in the cache: admission of waiting jobs, eviction of idle sessions, preemption of the latest arrival.
#include <algorithm>

#include "engine/scheduler.h"

namespace kl {
namespace {

// The job's rows and `more`, within its context.
uint32_t room_to_grow(const Job& job, uint32_t more) {
  const size_t left = job.cache->model->context - job.cache->content.size();
  return static_cast<uint32_t>(std::min<size_t>(size_t{job.pending()} + more, left));
}

}  // namespace

SlotOwner<CacheSlot> Scheduler::new_cache(const std::shared_ptr<ModelSlot>& model, bool evictable) {
  auto slot = std::make_shared<CacheSlot>(model);
  slot->evictable = evictable;
  return {std::move(slot), waker_};
}

Result<SlotOwner<CacheSlot>> Scheduler::fork_cache(const std::shared_ptr<CacheSlot>& cache) {
  auto copy = std::make_shared<CacheSlot>(cache->model);
  copy->evictable = cache->evictable;
  KL_TRY(on_thread(Needs::nothing, [&](Device&) -> Status {
    if (cache->in_use) return error(Code::busy, "the cache is in use and cannot be forked");
    copy->content = cache->content;
    if (!cache->sequence) return {};
    register_cache(copy);
    KL_ASSIGN(copy->sequence, cache->model->runner->cache().fork(*cache->sequence));
    return {};
  }));
  return SlotOwner<CacheSlot>(std::move(copy), waker_);
}

Status Scheduler::truncate_cache(const std::shared_ptr<CacheSlot>& cache, uint32_t length) {
  return on_thread(Needs::nothing, [&](Device&) -> Status {
    if (cache->in_use) return error(Code::busy, "the sequence is in use");
    if (length > cache->content.size()) {
      return error(Code::invalid_argument, "the sequence holds %zu tokens and cannot be cut to %u", cache->content.size(), length);
    }
    if (length == cache->content.size()) return {};
    if (cache->sequence) KL_TRY(cache->model->runner->cache().truncate(*cache->sequence, length));
    cache->content.resize(length);
    return {};
  });
}

Result<std::vector<int32_t>> Scheduler::cache_tokens(const std::shared_ptr<CacheSlot>& cache) {
  std::vector<int32_t> tokens;
  KL_TRY(on_thread(Needs::nothing, [&](Device&) -> Status {
    const auto held = cache->content.tokens();
    tokens.assign(held.begin(), held.end());
    return {};
  }));
  return tokens;
}

void Scheduler::register_cache(const std::shared_ptr<CacheSlot>& cache) {
  if (cache->registered) return;
  caches_.push_back(cache);
  cache->registered = true;
}

void Scheduler::drop_sequence(KvCache& kv, SequenceId sequence) noexcept {
  try {
    kv.destroy(sequence);
  } catch (const std::exception&) {
    log(LogLevel::warning, {});
  }
}

void Scheduler::drop_cache(CacheSlot& cache) noexcept {
  cache.content.clear();
  if (cache.sequence && cache.model->runner) drop_sequence(cache.model->runner->cache(), *cache.sequence);
  cache.sequence.reset();
}

// Names the full pages in the prefix index, so that others find them, now or after this cache has gone.
void Scheduler::publish(CacheSlot& cache) noexcept {
  if (!cache.sequence || cache.content.size() < kKvPageTokens) return;
  try {
    const Status status = cache.model->runner->cache().publish(*cache.sequence, cache.content.items());
    if (!status.ok()) log(LogLevel::warning, "prefix not remembered: " + status.message());
  } catch (const std::exception&) {
    log(LogLevel::warning, {});  // not remembered; nothing else is wrong
  }
}

// The idle session that was used longest ago gives up its cache. Its published pages stay findable until they are needed.
bool Scheduler::evict_one(const ModelSlot& model, const CacheSlot* except) noexcept {
  CacheSlot* oldest = nullptr;
  for (const auto& cache : caches_) {
    if (cache->model.get() != &model || cache.get() == except || !cache->sequence || cache->in_use || !cache->evictable) continue;
    if (!oldest || cache->last_used < oldest->last_used) oldest = cache.get();
  }
  if (!oldest) return false;
  drop_cache(*oldest);
  return true;
}

void Scheduler::preempt(Job& job) noexcept {
  publish(*job.cache);
  drop_cache(*job.cache);
  job.cache->in_use = false;
  job.admitted = false;
}

// Makes the cache a prefix of the job's content, as long as possible, one row at least left to compute.
Status Scheduler::match_cache(Job& job) {
  CacheSlot& cache = *job.cache;
  KvCache& kv = cache.model->runner->cache();
  const size_t common = cache.content.common(job.content, job.content.size() - 1);
  if (cache.sequence && common >= kKvPageTokens) {
    if (common == cache.content.size()) return {};
    if (kv.truncate(*cache.sequence, static_cast<uint32_t>(common)).ok()) {
      cache.content.resize(common);
      return {};
    }
  }
  // Less than a page, or a window has dropped what the next row sees: what others have published may be longer. It may end inside an image, seen both ways or
  // not: its rows there were computed with all of it in view, and what the next row sees behind itself is bounded by the window like any other's.
  drop_cache(cache);
  register_cache(job.cache);
  cache.sequence = kv.create_sequence(cache.model->context);
  KL_ASSIGN(const uint32_t attached, kv.attach_prefix(*cache.sequence, job.content.items(), static_cast<uint32_t>(job.content.size() - 1)));
  cache.content.assign_front(job.content, attached);
  return {};
}

bool Scheduler::admit(Job& job) {
  CacheSlot& cache = *job.cache;
  if (put_in_place(cache.model) != Placed::yes || job.done) return false;
  const ModelSlot& model = *cache.model;
  KvCache& kv = model.runner->cache();
  if (const Status status = match_cache(job); !status.ok()) {
    drop_cache(cache);
    end_job(job, Event::fail(status));
    return false;
  }
  // Beside others, every one gets a page to grow into: without it, a preempted job would come back only to be preempted again.
  std::vector<KvCache::Demand> demands;
  for (const auto& other : jobs_) {
    if (other->admitted && other->cache->model.get() == &model) {
      demands.push_back({*other->cache->sequence, room_to_grow(*other, kKvPageTokens)});
    }
  }
  const bool alone = demands.empty();
  demands.push_back({*cache.sequence, room_to_grow(job, alone ? 0 : kKvPageTokens)});
  while (!kv.fits(demands)) {
    if (evict_one(model, &cache)) continue;
    if (!alone) return false;
    const unsigned long long rows = job.content.size(), pages = kv.pool(0).capacity(), available = kv.pool(0).available();
    drop_cache(cache);
    end_job(job, Event::fail(error(Code::context_full,
                                   "the prompt of %s tokens does not fit in the cache: %s token places are free of %s, and what holds "
                                   "the others does not end by itself",
                                   with_commas(rows).c_str(), with_commas(available * kKvPageTokens).c_str(),
                                   with_commas(pages * kKvPageTokens).c_str())));
    return false;
  }
  job.admitted = true;
  cache.in_use = true;
  if (!job.was_admitted) {
    job.was_admitted = true;
    const auto cached = static_cast<uint32_t>(cache.content.size());
    job.generation->update_stats([&](GenerationStats& s) { s.cached_tokens = cached; });
    const std::lock_guard lock(mutex_);
    stats_.cached_tokens += cached;
  }
  return true;
}

// With the last image of its prompt the prompt is put together. False: one is not ready yet, or the job has ended.
bool Scheduler::images_there(Job& job) {
  if (!job.assemble) return true;
  for (const auto& image : job.images) {
    switch (image->state()) {
      case ImageState::ready:
        break;
      case ImageState::failed:
      case ImageState::cancelled:
        end_job(job, Event::fail(image->status()));
        return false;
      default:
        return false;
    }
  }
  const Status assembled = job.assemble(job);
  if (!assembled.ok()) {
    end_job(job, Event::fail(assembled));
    return false;
  }
  job.assemble = nullptr;
  job.images.clear();
  return true;
}

// In order of arrival, per model: nobody overtakes one that waits for room; one that waits for its images does not stand in the way.
void Scheduler::admit_waiting() {
  std::vector<const ModelSlot*> full;
  for (const auto& job : jobs_) {
    if (job->done || job->admitted) continue;
    const ModelSlot* const model = job->cache->model.get();
    if (std::find(full.begin(), full.end(), model) != full.end()) continue;
    try {
      if (!images_there(*job)) continue;
      if (!admit(*job) && !job->done) full.push_back(model);
    } catch (const std::bad_alloc&) {
      drop_cache(*job->cache);
      end_job(*job, Event::fail(Status(Code::out_of_memory, {})));
    }
  }
}

// Pages for rows, at the cost of idle sessions. Error out_of_memory: even so there are none.
Result<std::span<const BlockCopy>> Scheduler::reserve_evicting(CacheSlot& cache, uint32_t rows) {
  for (;;) {
    auto copies = cache.model->runner->cache().reserve(*cache.sequence, rows);
    if (copies.ok() || copies.status().code() != Code::out_of_memory) return copies;
    if (!evict_one(*cache.model, &cache)) return copies;
  }
}

}  // namespace kl
