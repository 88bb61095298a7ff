// cos and sin for rope.comp: [3][256][pairs] for the three base-256 digits of a position, in double precision on the host, once per kind of rope; behind them
// which position component turns each pair. 24-bit positions: more than any context.
#pragma once
#include <memory>
#include <vector>

#include "ir/op.h"
#include "vulkan/memory.h"

namespace kl::vulkan {

struct RopeTable {
  const DeviceMemory* memory = nullptr;
  uint64_t components_offset = 0;
};

class RopeTables {
 public:
  explicit RopeTables(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  // factors: empty or [dims / 2]. Errors: invalid_argument (base, scale or a factor not positive and finite, sections that are not all pairs),
  // out_of_memory.
  Result<RopeTable> get(const RopeSpec& spec, const std::vector<float>& factors);

 private:
  struct Entry {
    RopeSpec spec;
    std::vector<float> factors;
    std::unique_ptr<DeviceMemory> memory;
    RopeTable table;
  };
  std::shared_ptr<Context> context_;
  std::vector<Entry> entries_;
};

}  // namespace kl::vulkan
