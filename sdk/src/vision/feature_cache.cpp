#include "vision/feature_cache.h"

#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "vision/feature_disk.h"
#include "vision/feature_lru.h"
#include "vision/feature_writer.h"

namespace kl {
namespace {

// Handles whose rows nobody holds any more. `outstanding` counts those that a StoredRows holds and those in the list, so that adding one
// never allocates.
struct DropList {
  std::mutex mutex;
  std::vector<uint64_t> handles;
  size_t outstanding = 0;
};

struct StoredRows final : DeviceRows {
  Features shape;  // of the rows, without values
  std::shared_ptr<DropList> drops;
  ~StoredRows() override {
    if (handle == 0) return;
    const std::lock_guard lock(drops->mutex);
    drops->handles.push_back(handle);
  }
};

uint64_t held_bytes(const Features& f) {
  return sizeof(Features) + f.values.capacity() * sizeof(f.values[0]) + f.places.capacity() * sizeof(f.places[0]) +
         f.blocks.capacity() * sizeof(f.blocks[0]);
}

Features shape_of(const Features& f) {
  return {f.key, f.rows, f.width, {}, f.blocks, f.grid_rows, f.grid_columns, f.places, f.picture_width, f.picture_height};
}

using MemoryTier = FeatureLru<Features>;
using StoredTier = FeatureLru<StoredRows>;
using Memo = FeatureLru<FeatureKey>;
// What leaves a tier under the lock and is let go after it.
struct Leaving {
  std::vector<MemoryTier::Entry> features;
  std::vector<StoredTier::Entry> stored;
  std::vector<Memo::Entry> sources;
};

}  // namespace

struct FeatureCache::Impl {
  explicit Impl(FeatureCacheOptions given)
      : options(std::move(given)),
        device(options.device_tier == nullptr ? options.device_bytes : 0),
        host(options.host_bytes),
        stored(options.device_tier == nullptr ? 0 : options.device_bytes),
        memo(options.memo_entries) {}

  FeatureHit find(const FeatureKey& key, Leaving& leaving);
  void hold(const std::shared_ptr<const Features>& features, Leaving& leaving);
  std::shared_ptr<const Features> make_findable(std::shared_ptr<const Features> features);
  FeatureHit find_on_disk(const FeatureKey& key, uint64_t since);
  FeatureHit publish(const FeatureKey& key, uint64_t since, Features&& features);
  void settle(const FeatureKey& key);
  void count(FeatureTier tier);
  void collect();

  const FeatureCacheOptions options;
  const std::shared_ptr<DropList> drops = std::make_shared<DropList>();
  std::unique_ptr<FeatureDisk> disk;      // null: no disk tier
  std::unique_ptr<FeatureWriter> writer;  // null: as above
  mutable std::mutex mutex;               // everything below; never held over a call to the disk, the device or a waiter
  uint64_t epoch = 0;                     // how often it was cleared
  MemoryTier device, host;
  StoredTier stored;
  Memo memo;
  std::unordered_map<FeatureKey, std::weak_ptr<const Features>, FeatureKeyHash> live;  // whoever holds them
  size_t sweep_live_at = 64;
  std::unordered_map<FeatureKey, std::vector<std::function<void()>>, FeatureKeyHash> in_flight;
  uint64_t hits[4] = {}, misses = 0, evictions = 0, disk_errors = 0, decodes_spared = 0;
};

// --- under the lock ---

FeatureHit FeatureCache::Impl::find(const FeatureKey& key, Leaving& leaving) {
  if (std::shared_ptr<const StoredRows> rows = stored.find(key)) {
    std::shared_ptr<const Features> features = host.find(key);
    if (features == nullptr) features = {rows, &rows->shape};
    return {std::move(features), std::move(rows), FeatureTier::device};
  }
  if (std::shared_ptr<const Features> features = device.find(key)) return {std::move(features), nullptr, FeatureTier::device};
  if (std::shared_ptr<const Features> features = host.find(key)) {
    if (options.device_tier == nullptr) hold(features, leaving);  // moves up
    return {std::move(features), nullptr, FeatureTier::host};
  }
  const auto alive = live.find(key);
  if (alive == live.end()) return {};
  std::shared_ptr<const Features> features = alive->second.lock();
  return {features, nullptr, features == nullptr ? FeatureTier::none : FeatureTier::host};
}

// In the highest tier that has room, and in one only; what makes room there goes to the host or away.
void FeatureCache::Impl::hold(const std::shared_ptr<const Features>& features, Leaving& leaving) {
  if (device.contains(features->key)) return;
  MemoryTier::Entry entry{features->key, features, held_bytes(*features)};
  std::vector<MemoryTier::Entry> displaced;
  if (device.insert(entry, displaced)) {
    host.erase(features->key, leaving.features);
  } else if (!host.contains(features->key)) {
    const size_t before = leaving.features.size();
    (void)host.insert(entry, leaving.features);
    evictions += leaving.features.size() - before;
  }
  for (MemoryTier::Entry& lower : displaced) {
    const size_t before = leaving.features.size();
    if (!host.insert(lower, leaving.features)) leaving.features.push_back(std::move(lower));
    evictions += leaving.features.size() - before;
  }
}

// One copy of a key's rows, found by whoever asks while anybody holds it.
std::shared_ptr<const Features> FeatureCache::Impl::make_findable(std::shared_ptr<const Features> features) {
  std::weak_ptr<const Features>& known = live[features->key];
  if (std::shared_ptr<const Features> same = known.lock()) return same;
  known = features;
  if (live.size() > sweep_live_at) {
    std::erase_if(live, [](const auto& entry) { return entry.second.expired(); });
    sweep_live_at = 2 * live.size() + 64;
  }
  return features;
}

void FeatureCache::Impl::count(FeatureTier tier) { ++hits[static_cast<size_t>(tier)]; }

// --- without it ---

FeatureHit FeatureCache::Impl::find_on_disk(const FeatureKey& key, uint64_t since) {
  if (disk == nullptr) return {};
  Result<Features> read = disk->read(key);
  if (!read.ok()) return {};
  auto features = std::make_shared<const Features>(std::move(*read));
  Leaving leaving;
  const std::lock_guard lock(mutex);
  if (since == epoch) {
    features = make_findable(std::move(features));
    hold(features, leaving);
  }
  count(FeatureTier::disk);
  return {std::move(features), nullptr, FeatureTier::disk};
}

FeatureHit FeatureCache::Impl::publish(const FeatureKey& key, uint64_t since, Features&& given) {
  given.key = key;
  auto features = std::make_shared<const Features>(std::move(given));
  Leaving leaving;
  const std::lock_guard lock(mutex);
  features = make_findable(std::move(features));
  if (since == epoch) {
    hold(features, leaving);
    if (writer != nullptr) writer->add(features);
  }
  return {std::move(features), nullptr, FeatureTier::none};
}

void FeatureCache::Impl::settle(const FeatureKey& key) {
  std::vector<std::function<void()>> waiters;
  {
    const std::lock_guard lock(mutex);
    const auto found = in_flight.find(key);
    if (found == in_flight.end()) return;
    waiters.swap(found->second);
    in_flight.erase(found);
  }
  for (const std::function<void()>& waiter : waiters) waiter();
}

void FeatureCache::Impl::collect() {
  std::vector<uint64_t> handles;
  {
    const std::lock_guard lock(drops->mutex);
    handles = drops->handles;
    drops->handles.clear();  // keeps its capacity
    drops->outstanding -= handles.size();
  }
  for (const uint64_t handle : handles) options.device_tier->drop(handle);
}

// --- claims ---

FeatureClaim::FeatureClaim(FeatureClaim&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)), key_(other.key_), epoch_(other.epoch_) {}

FeatureClaim& FeatureClaim::operator=(FeatureClaim&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->impl_->settle(key_);
    cache_ = std::exchange(other.cache_, nullptr);
    key_ = other.key_;
    epoch_ = other.epoch_;
  }
  return *this;
}

FeatureClaim::~FeatureClaim() {
  if (cache_ != nullptr) cache_->impl_->settle(key_);
}

FeatureHit FeatureClaim::publish(Features&& features) {
  if (cache_ == nullptr) return {};
  FeatureHit hit = cache_->impl_->publish(key_, epoch_, std::move(features));
  std::exchange(cache_, nullptr)->impl_->settle(key_);
  return hit;
}

// --- the cache ---

FeatureCache::FeatureCache(FeatureCacheOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const FeatureCacheOptions& o = impl_->options;
  if (o.folder.empty() || o.disk_bytes == 0) return;
  if (Result<std::unique_ptr<FeatureDisk>> disk = FeatureDisk::open({o.folder, o.disk_bytes, o.memo_entries}); disk.ok()) {
    impl_->disk = std::move(*disk);
    impl_->writer = std::make_unique<FeatureWriter>(*impl_->disk);
  } else {
    impl_->disk_errors = 1;
  }
}

FeatureCache::~FeatureCache() {
  impl_->writer.reset();
  if (impl_->options.device_tier == nullptr) return;
  Leaving leaving;
  impl_->stored.clear(leaving.stored);
  leaving.stored.clear();
  impl_->collect();
}

FeatureBegin FeatureCache::begin(const FeatureKey& key, std::function<void()> when_settled) {
  FeatureBegin begin;
  {
    Leaving leaving;
    const std::lock_guard lock(impl_->mutex);
    begin.hit = impl_->find(key, leaving);
    if (begin.hit) {
      impl_->count(begin.hit.tier);
      return begin;
    }
    const auto [work, is_new] = impl_->in_flight.try_emplace(key);
    if (!is_new) {
      if (when_settled) work->second.push_back(std::move(when_settled));
      begin.in_flight = true;
      return begin;
    }
    begin.claim = FeatureClaim(this, key, impl_->epoch);
  }
  begin.hit = impl_->find_on_disk(key, begin.claim.epoch_);
  if (begin.hit) {
    begin.claim = {};  // wakes those who came meanwhile
    return begin;
  }
  const std::lock_guard lock(impl_->mutex);
  ++impl_->misses;
  return begin;
}

FeatureHit FeatureCache::find_source(const FeatureKey& source) {
  std::shared_ptr<const FeatureKey> key;
  uint64_t since = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    key = impl_->memo.find(source);
    since = impl_->epoch;
  }
  if (key == nullptr && impl_->disk != nullptr) {
    if (Result<FeatureKey> read = impl_->disk->read_source(source); read.ok()) {
      key = std::make_shared<const FeatureKey>(*read);
      Leaving leaving;
      const std::lock_guard lock(impl_->mutex);
      Memo::Entry entry{source, key, 1};
      if (since == impl_->epoch && !impl_->memo.contains(source)) (void)impl_->memo.insert(entry, leaving.sources);
    }
  }
  if (key == nullptr) return {};
  FeatureHit hit;
  {
    Leaving leaving;
    const std::lock_guard lock(impl_->mutex);
    hit = impl_->find(*key, leaving);
    if (hit) impl_->count(hit.tier);
    if (!hit && impl_->in_flight.contains(*key)) return {};  // decoding meets begin(), which waits for it
  }
  if (!hit) hit = impl_->find_on_disk(*key, since);
  if (hit) {
    const std::lock_guard lock(impl_->mutex);
    ++impl_->decodes_spared;
  }
  return hit;
}

void FeatureCache::remember(const FeatureKey& source, const FeatureKey& key) {
  Leaving leaving;
  const std::lock_guard lock(impl_->mutex);
  const bool on_disk = impl_->disk != nullptr && (impl_->disk->contains(key) || impl_->writer->waits(key));
  if (!on_disk && !impl_->device.contains(key) && !impl_->stored.contains(key) && !impl_->host.contains(key)) return;
  if (const std::shared_ptr<const FeatureKey> known = impl_->memo.find(source); known != nullptr && *known == key) return;
  impl_->memo.erase(source, leaving.sources);
  Memo::Entry entry{source, std::make_shared<const FeatureKey>(key), 1};
  (void)impl_->memo.insert(entry, leaving.sources);
  if (on_disk) impl_->writer->add_source(source, key);
}

std::shared_ptr<const DeviceRows> FeatureCache::rows_on_device(const FeatureHit& hit) {
  if (hit.device != nullptr || impl_->options.device_tier == nullptr || hit.features == nullptr) return hit.device;
  const FeatureKey& key = hit.features->key;
  const uint64_t bytes = hit.features->values.size() * sizeof(float);
  {
    const std::lock_guard lock(impl_->mutex);
    if (std::shared_ptr<const StoredRows> rows = impl_->stored.find(key)) return rows;
  }
  if (bytes == 0) return nullptr;
  {
    Leaving leaving;
    const std::lock_guard lock(impl_->mutex);
    const bool room = impl_->stored.make_room(bytes, leaving.stored);
    impl_->evictions += leaving.stored.size();
    if (!room) return nullptr;
  }
  impl_->collect();  // frees what has just made room
  auto rows = std::make_shared<StoredRows>();
  rows->drops = impl_->drops;
  rows->shape = shape_of(*hit.features);
  {
    const std::lock_guard lock(impl_->drops->mutex);
    impl_->drops->handles.reserve(impl_->drops->outstanding + 1);
    ++impl_->drops->outstanding;
  }
  rows->handle = impl_->options.device_tier->store(*hit.features);
  if (rows->handle == 0) {
    const std::lock_guard lock(impl_->drops->mutex);
    --impl_->drops->outstanding;
    return nullptr;
  }
  Leaving leaving;
  const std::lock_guard lock(impl_->mutex);
  // Forgotten since the hit: its user keeps the rows, the cache does not.
  const auto alive = impl_->live.find(key);
  StoredTier::Entry entry{key, rows, bytes};
  if (alive != impl_->live.end() && alive->second.lock() == hit.features) (void)impl_->stored.insert(entry, leaving.stored);
  return rows;
}

void FeatureCache::collect() {
  if (impl_->options.device_tier != nullptr) impl_->collect();
}

Status FeatureCache::clear() {
  {
    Leaving leaving;
    const std::lock_guard lock(impl_->mutex);
    ++impl_->epoch;
    impl_->device.clear(leaving.features);
    impl_->host.clear(leaving.features);
    impl_->stored.clear(leaving.stored);
    impl_->memo.clear(leaving.sources);
    impl_->live.clear();
  }
  if (impl_->disk != nullptr) {
    impl_->writer->discard();
    return impl_->disk->clear();
  }
  // The disk tier is off now; it may have been on earlier. A budget of nothing leaves nothing.
  const std::string& folder = impl_->options.folder;
  if (folder.empty()) return {};
  KL_ASSIGN(const std::unique_ptr<FeatureDisk> disk, FeatureDisk::open({folder, 0, 0}));
  return disk->clear();
}

void FeatureCache::flush() {
  if (impl_->writer != nullptr) impl_->writer->flush();
}

FeatureCacheStats FeatureCache::stats() const {
  const std::lock_guard lock(impl_->mutex);
  const Impl& i = *impl_;
  const bool own_memory = i.options.device_tier != nullptr;
  FeatureCacheStats s;
  s.device_bytes = own_memory ? i.stored.bytes() : i.device.bytes();
  s.host_bytes = i.host.bytes();
  s.device_budget = i.options.device_bytes;
  s.host_budget = i.options.host_bytes;
  s.device_hits = i.hits[static_cast<size_t>(FeatureTier::device)];
  s.host_hits = i.hits[static_cast<size_t>(FeatureTier::host)];
  s.disk_hits = i.hits[static_cast<size_t>(FeatureTier::disk)];
  s.misses = i.misses;
  s.evictions = i.evictions;
  s.disk_errors = i.disk_errors;
  s.decodes_spared = i.decodes_spared;
  const auto count_entry = [&](const FeatureKey& key) { s.entries += i.disk != nullptr && i.disk->contains(key) ? 0 : 1; };
  for (const auto& entry : i.device.entries()) count_entry(entry.key);
  for (const auto& entry : i.host.entries()) count_entry(entry.key);
  for (const auto& entry : i.stored.entries()) {
    if (!i.host.contains(entry.key)) count_entry(entry.key);
  }
  if (i.disk != nullptr) {
    s.disk_budget = i.options.disk_bytes;
    s.disk_bytes = i.disk->bytes();
    s.entries += i.disk->entries();
    s.evictions += i.disk->evictions();
    s.disk_errors += i.disk->errors() + i.writer->failures();
  }
  return s;
}

}  // namespace kl
