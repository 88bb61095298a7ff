// Where every weight of a model lies: "canonical" ones in the mapped file, packed ones and those that the file has transposed in one block, filled tensor by tensor from the file or mapped
// from a pack cache. Peak residency while packing: what is packed so far + the tensor at hand (its source pages are released behind it).
// Immutable after load; the addresses stay valid as long as the store lives.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/device.h"
#include "core/file.h"
#include "core/log.h"
#include "weights/gguf.h"

namespace kl {

struct WeightStoreOptions {
  std::string cache_folder;                       // empty: no pack cache
  std::function<bool(double fraction)> progress;  // false: stop with Code::cancelled. May be empty
  LogSink log;                                    // why a cache was not used, and the like. May be empty
};

class WeightStore {
 public:
  // The bytes of the packed block, known from shapes alone. Errors: sizes that overflow.
  static Result<uint64_t> packed_bytes(const Program& program, std::span<const WeightUse> uses, const Device& device);
  // The bytes that stay in the file.
  static uint64_t mapped_bytes(const Program& program, std::span<const WeightUse> uses, const Device& device);
  // The largest source tensor that has to be packed, bytes.
  static uint64_t largest_source(const Program& program, std::span<const WeightUse> uses);

  // Errors: corrupt (a tensor is missing or has another size than its shape needs), out_of_memory, cancelled, io_error.
  // A cache that cannot be read or written is never an error: the weights are packed, and the log says why.
  static Result<std::unique_ptr<WeightStore>> load(const std::shared_ptr<const Gguf>& file, const Program& program,
                                                   std::span<const WeightUse> uses, Device& device, const WeightStoreOptions& options);

  WeightAddress address(const WeightUse& use) const;  // of nothing when it is not in the store
  bool from_cache() const { return cache_ != nullptr; }

 private:
  struct Entry {
    WeightUse use;
    uint64_t offset = 0, bytes = 0;        // in the packed block
    const std::byte* canonical = nullptr;  // instead, for "canonical"
  };
  std::shared_ptr<const Gguf> file_;
  std::vector<Entry> entries_;
  std::unique_ptr<Memory> packed_;
  std::shared_ptr<const ByteSource> cache_;  // instead of packed_
  const std::byte* base_ = nullptr;          // of the packed block; null where the host cannot address it
};

}  // namespace kl
