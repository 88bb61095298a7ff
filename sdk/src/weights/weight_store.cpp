#include "weights/weight_store.h"

#include <algorithm>
#include <cstring>

#include "backend/transfer.h"
#include "core/checked.h"
#include "weights/pack_cache.h"

namespace kl {
namespace {

constexpr uint64_t kAlign = 256;  // a GPU may ask it of the offset of a binding
constexpr const char* kCanonical = "canonical";

uint64_t source_bytes(const WeightInfo& w) { return uint64_t{w.n} * row_bytes(w.format, w.k); }

// A weight's bytes in the packed block; 0: it is read in place.
uint64_t block_bytes(const Program& program, const WeightUse& use, const Device& device) {
  const WeightInfo& w = program.info(use.weight);
  return w.transposed && use.layout == kCanonical ? source_bytes(w) : device.packed_bytes(w, use.layout);
}

// [k n] as [n k].
std::vector<std::byte> turned(const WeightInfo& w, std::span<const std::byte> data) {
  const size_t size = info(w.format).block_bytes;
  std::vector<std::byte> out(data.size());
  for (size_t k = 0; k < w.k; ++k) {
    for (size_t n = 0; n < w.n; ++n) std::memcpy(&out[(n * w.k + k) * size], &data[(k * w.n + n) * size], size);
  }
  return out;
}

// What decides every byte of the packed block.
std::string cache_key(const Gguf& file, const Program& program, std::span<const WeightUse> uses, const Device& device) {
  std::string key = "kinglet pack cache 1\nbackend " + device.info().backend + "\nmodel " + file.identity() + "\n";
  for (const WeightUse& use : uses) {
    const WeightInfo& w = program.info(use.weight);
    key +=
        format("%s [%u %u] %s%s -> %s\n", w.name.c_str(), w.n, w.k, name(w.format), w.transposed ? " transposed" : "", use.layout.c_str());
  }
  return key;
}

}  // namespace

Result<uint64_t> WeightStore::packed_bytes(const Program& program, std::span<const WeightUse> uses, const Device& device) {
  uint64_t total = 0;
  for (const WeightUse& use : uses) {
    const std::optional<uint64_t> bytes = checked_round_up<uint64_t>(block_bytes(program, use, device), kAlign);
    const std::optional<uint64_t> sum = bytes ? checked_add(total, *bytes) : std::nullopt;
    if (!sum) return error(Code::unsupported, "the weights together take more than 2^64 bytes");
    total = *sum;
  }
  return total;
}

uint64_t WeightStore::mapped_bytes(const Program& program, std::span<const WeightUse> uses, const Device& device) {
  uint64_t total = 0;
  for (const WeightUse& use : uses) {
    if (block_bytes(program, use, device) == 0) total += source_bytes(program.info(use.weight));
  }
  return total;
}

uint64_t WeightStore::largest_source(const Program& program, std::span<const WeightUse> uses) {
  uint64_t most = 0;
  for (const WeightUse& use : uses) {
    if (use.layout != kCanonical || program.info(use.weight).transposed) most = std::max(most, source_bytes(program.info(use.weight)));
  }
  return most;
}

Result<std::unique_ptr<WeightStore>> WeightStore::load(const std::shared_ptr<const Gguf>& file, const Program& program,
                                                       std::span<const WeightUse> uses, Device& device, const WeightStoreOptions& options) {
  auto store = std::make_unique<WeightStore>();
  store->file_ = file;
  const auto log = [&](LogLevel level, const std::string& text) {
    if (options.log) options.log(level, text);
  };
  const auto go_on = [&](double fraction) { return !options.progress || options.progress(fraction); };

  uint64_t total = 0;
  std::vector<const TensorInfo*> sources;
  for (const WeightUse& use : uses) {
    const WeightInfo& w = program.info(use.weight);
    const TensorInfo* tensor = file->find(w.name);
    if (tensor == nullptr || tensor->bytes != source_bytes(w)) {
      return error(Code::corrupt, "tensor \"%s\" should have %s bytes but has %s", w.name.c_str(), with_commas(source_bytes(w)).c_str(),
                   tensor == nullptr ? "none" : with_commas(tensor->bytes).c_str());
    }
    if (w.transposed && info(w.format).block_elements != 1) {
      return error(Code::unsupported, "tensor \"%s\" is stored transposed in %s; f32, f16 and bf16 can be turned", w.name.c_str(),
                   name(w.format));
    }
    Entry entry{use, total, block_bytes(program, use, device), nullptr};
    if (use.layout == kCanonical && !w.transposed) {
      KL_ASSIGN(const std::span<const std::byte> data, file->data(*tensor));
      entry.canonical = data.data();
    }
    total += round_up(entry.bytes, kAlign);
    sources.push_back(tensor);
    store->entries_.push_back(std::move(entry));
  }

  const std::string key = options.cache_folder.empty() ? std::string() : cache_key(*file, program, uses, device);
  const std::string path = options.cache_folder.empty() ? std::string() : pack_cache_path(options.cache_folder, key);
  if (!path.empty()) {
    Result<PackCacheHit> hit = open_pack_cache(path, key, total);
    if (hit.ok()) {
      if (device.reads_host_memory()) {
        store->cache_ = std::move(hit->file);
        store->base_ = hit->payload.data();
      } else {  // one copy, and the mapping is let go
        KL_ASSIGN(store->packed_, device.allocate(total, MemoryUse::weights));
        KL_TRY(write_memory(device, *store->packed_, 0, hit->payload));
      }
      if (!go_on(1.0)) return error(Code::cancelled, "loading was cancelled");
      return store;
    }
    if (hit.status().code() != Code::not_found) log(LogLevel::warning, "weights are packed again: " + hit.status().message());
  }

  KL_ASSIGN(store->packed_, device.allocate(total, MemoryUse::weights));
  store->base_ = store->packed_->host();
  std::vector<std::byte> staged;  // where the host cannot address the device's memory: one tensor at a time, packed here and copied
  uint64_t done = 0;
  for (size_t at = 0; at < store->entries_.size(); ++at) {
    const Entry& entry = store->entries_[at];
    if (entry.canonical != nullptr) continue;
    KL_ASSIGN(std::span<const std::byte> data, file->data(*sources[at]));
    const WeightInfo& w = program.info(entry.use.weight);
    if (store->base_ == nullptr) staged.resize(entry.bytes);
    const std::span<std::byte> out(store->base_ == nullptr ? staged.data() : store->packed_->host() + entry.offset, entry.bytes);
    std::vector<std::byte> buffer;
    if (w.transposed) data = buffer = turned(w, data);
    if (entry.use.layout == kCanonical) {
      std::copy(data.begin(), data.end(), out.begin());
    } else {
      KL_TRY(device.pack({w, entry.use.layout, data, out}));
    }
    if (store->base_ == nullptr) KL_TRY(write_memory(device, *store->packed_, entry.offset, staged));
    file->release(*sources[at]);
    done += entry.bytes;
    if (!go_on(static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(total, 1))))
      return error(Code::cancelled, "loading was cancelled");
  }

  if (!path.empty() && store->base_ != nullptr) {  // device memory is not read back for it
    Status status = make_folder(options.cache_folder);
    if (status.ok()) status = write_pack_cache(path, key, {store->base_, total});
    if (!status.ok()) log(LogLevel::warning, "no pack cache was written: " + status.message());
  }
  return store;
}

WeightAddress WeightStore::address(const WeightUse& use) const {
  for (const Entry& entry : entries_) {
    if (!(entry.use == use)) continue;
    if (entry.canonical != nullptr) return entry.canonical;
    return packed_ != nullptr ? WeightAddress(packed_.get(), entry.offset) : WeightAddress(base_ + entry.offset);
  }
  return {};
}

}  // namespace kl
