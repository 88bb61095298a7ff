// The tables of backend/rope_table.h on the device, once per kind of rope.
#pragma once
#include <vector>

#include "backend/rope_table.h"
#include "cuda/memory.h"

namespace kl::cuda {

struct DeviceRope {
  const float* turns = nullptr;
  const uint32_t* components = nullptr;
};

class RopeTables {
 public:
  RopeTables(std::shared_ptr<Context> context, Copier& copier) : context_(std::move(context)), copier_(copier) {}
  // factors: empty or [dims / 2]. Lives as long as this. Errors: those of rope_table(), out_of_memory.
  Result<DeviceRope> get(const RopeSpec& spec, const std::vector<float>& factors);

 private:
  struct Entry {
    RopeSpec spec;
    std::vector<float> factors;
    std::unique_ptr<DeviceMemory> turns, components;
  };
  std::shared_ptr<Context> context_;
  Copier& copier_;
  std::vector<Entry> entries_;
};

}  // namespace kl::cuda
