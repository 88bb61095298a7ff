#include "cpu/isa/isa.h"
#include "cpu/isa/tables.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/auxv.h>
#endif
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace kl::cpu {
namespace {

#ifdef __x86_64__
constexpr bool has(uint32_t word, int bit) { return (word >> bit & 1u) != 0; }

// What the operating system saves on a switch (XCR0): without it the registers are not there, whatever cpuid says.
uint64_t saved_state() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Intel SDM volume 2, CPUID leaves 1 and 7.
Isa detect() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return Isa::generic;
  const bool base = has(c, 12) /* fma */ && has(c, 27) /* osxsave */ && has(c, 28) /* avx */ && has(c, 29) /* f16c */;
  if (!base || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return Isa::generic;
  const uint64_t saved = saved_state();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // xmm and ymm; and opmask, upper halves, upper registers
  if (!has(b, 5) /* avx2 */ || (saved & kYmm) != kYmm) return Isa::generic;
  const bool avx512 = has(b, 16) /* f */ && has(b, 17) /* dq */ && has(b, 28) /* cd */ && has(b, 30) /* bw */ && has(b, 31) /* vl */ &&
                      has(c, 11) /* vnni */;
  return avx512 && (saved & kZmm) == kZmm ? Isa::avx512 : Isa::avx2;
}
#elif defined(__aarch64__)
Isa detect() {
#if defined(__linux__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kDotProduct) != 0 ? Isa::neon : Isa::generic;
#elif defined(__APPLE__)
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value != 0 ? Isa::neon : Isa::generic;
#else
  return Isa::generic;
#endif
}
#else
Isa detect() { return Isa::generic; }
#endif

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::generic:
      return "generic";
    case Isa::neon:
      return "neon";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

std::optional<Isa> isa_from_name(std::string_view text) {
  for (const Isa isa : kIsas) {
    if (text == name(isa)) return isa;
  }
  return std::nullopt;
}

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

bool isa_available(Isa isa) {
  const Isa best = best_isa();
  return isa == Isa::generic || isa == best || (isa == Isa::avx2 && best == Isa::avx512);
}

const CpuKernels& kernels(Isa isa) {
  if (isa_available(isa)) {
#ifdef __x86_64__
    if (isa == Isa::avx512) return kernels_avx512();
    if (isa == Isa::avx2) return kernels_avx2();
#endif
#ifdef __aarch64__
    if (isa == Isa::neon) return kernels_neon();
#endif
  }
  return kernels_generic();
}

}  // namespace kl::cpu
