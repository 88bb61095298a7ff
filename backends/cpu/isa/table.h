// The kernel table of one instruction set, for isa/<isa>.cpp.
#pragma once
#include "cpu/kernels/activation.h"
#include "cpu/kernels/limits.h"
#include "cpu/kernels/linear.h"
#include "cpu/kernels/norm.h"
#include "cpu/kernels/quantize.h"
#include "cpu/kernels/unpack.h"

namespace kl::cpu {
namespace {

template <class S, class D>
constexpr CpuKernels make_kernels(const char* name) {
  return {name,           linear<S, D>,     norm<S, NormKind::rms>, norm<S, NormKind::layer>,
          quantize<S>,    activate_rows<S>, unpack_panel<S, D>,     read_bytes<S, D>,
          dot_peak<S, D>, fma_peak<S>};
}

}  // namespace
}  // namespace kl::cpu
