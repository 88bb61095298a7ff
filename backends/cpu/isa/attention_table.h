// The attention table of one instruction set, for isa/attention_<isa>.cpp.
#pragma once
#include "cpu/kernels/attention.h"
#include "cpu/kernels/dense_attention.h"
#include "cpu/kernels/kv_write.h"
#include "cpu/kernels/rope_apply.h"

namespace kl::cpu {
namespace {

template <class S>
constexpr CpuAttentionKernels make_attention_kernels(const char* name) {
  return {name, rope<S>, kv_write<S>, attention<S>, attention_partial<S>, attention_merge<S>, dense_pack<S>, dense_attention<S>};
}

}  // namespace
}  // namespace kl::cpu
