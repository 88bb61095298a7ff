// Arguments of probe.cu. Host and device.
#pragma once
#include <cstdint>

namespace kl::cuda {

inline constexpr uint32_t kProbeThreads = 512, kProbeVectors = 8;  // 16-byte loads a thread has under way

struct ProbeArgs {
  const void* from;  // [count] 16-byte vectors
  uint32_t* out;     // [blocks] the exclusive or of what each read; null: nothing is written
  uint64_t count;
};

}  // namespace kl::cuda
