// Which instruction sets this build carries, which of them this processor can run, and their kernel tables.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "cpu/isa/kernels.h"

namespace kl::cpu {

enum class Isa : uint8_t { generic, neon, avx2, avx512 };  // later is better; at most one family is compiled in
inline constexpr Isa kIsas[] = {Isa::generic, Isa::neon, Isa::avx2, Isa::avx512};

const char* name(Isa isa);  // "generic", "neon", "avx2", "avx512"
std::optional<Isa> isa_from_name(std::string_view name);
// Compiled in, and the processor and the operating system (saved registers) support it. generic always is.
//   neon    ARMv8.2 dot products      avx2    AVX2, FMA, F16C      avx512   F, BW, VL, DQ, VNNI
bool isa_available(Isa isa);
Isa best_isa();
// Precondition: isa_available(isa). Otherwise the generic table is returned.
const CpuKernels& kernels(Isa isa);

}  // namespace kl::cpu
