// How a backend that is a library of its own is found: it exports one C function, kl_backend_module, that gives this table. Module and library come from one
// build; the stamp says so.
#pragma once
#include "backend/device.h"

namespace kl {

// Changes with every change of what crosses the boundary between library and module (everything under sdk/src/backend, ir and plan/plan.h).
inline constexpr const char* kBackendStamp = "kinglet backend interface 4, " __VERSION__;

struct BackendDevice {
  DeviceInfo info;
  bool fast = false;  // worth choosing over the CPU backend without being asked: a discrete GPU
};

struct BackendOptions {
  uint32_t device = 0;          // index into list()
  std::string cache_dir;        // where compiled kernels may be kept; empty: nowhere
  uint32_t tiers_left_out = 0;  // how many of the device's tiers to go without, the best first: after a self-test that failed with them
};

struct BackendModule {
  const char* stamp = nullptr;
  // Errors: not_found (no driver, no device), saying which. Opens nothing.
  Result<std::vector<BackendDevice>> (*list)() = nullptr;
  // Errors: not_found (no such device, or it has no tier left), out_of_memory, device_lost.
  Result<std::unique_ptr<Device>> (*open)(const BackendOptions& options) = nullptr;
};

}  // namespace kl
