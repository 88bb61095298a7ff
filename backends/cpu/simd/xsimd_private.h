// xsimd under a name of its own per translation unit: its inline functions are ordinary templates, and those that the optimiser leaves standing must
// not be merged by the linker with copies compiled for another instruction set. Include this, never <xsimd/xsimd.hpp>, in files of one instruction set.
#pragma once
#if defined(__AVX512VNNI__)
#define xsimd xsimd_avx512_vnni
#elif defined(__AVX2__)
#define xsimd xsimd_avx2_fma
#elif defined(__ARM_FEATURE_DOTPROD)
#define xsimd xsimd_neon_dotprod
#endif
#include <xsimd/xsimd.hpp>
