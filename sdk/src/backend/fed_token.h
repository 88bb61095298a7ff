// Tokens that only the device knows when a step is put together. Host and device.
#pragma once
#include <cstdint>

namespace kl {

// kFedToken + o in StepParams::tokens() stands for what output o of the step before drew (Bindings::fed). Feature rows (-1, -2, ...) are far from there.
inline constexpr int32_t kFedToken = INT32_MIN;
inline constexpr int32_t kFedTokensEnd = INT32_MIN / 2;

}  // namespace kl
