// The tables of the translation units in this folder. Only isa/dispatch.cpp asks for them, after asking the processor.
#pragma once
#include "cpu/isa/kernels.h"

namespace kl::cpu {

const CpuKernels& kernels_generic();
#ifdef __x86_64__
const CpuKernels& kernels_avx2();
const CpuKernels& kernels_avx512();
#endif
#ifdef __aarch64__
const CpuKernels& kernels_neon();
#endif

}  // namespace kl::cpu
