// Float lanes for any processor: four lanes of the compiler's vector extension, with the same results as the other instruction sets, including an
// fma that rounds once where the hardware has none (baseline x86-64).
#pragma once
#include "core/half.h"
#include "cpu/simd/common.h"

namespace kl::cpu {
namespace {

struct Generic {
  static constexpr int kLanes = 4;
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));

  template <class V, class T>
  KL_INLINE V load_as(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  KL_INLINE F load(const float* p) { return load_as<F>(p); }
  KL_INLINE void store(float* p, F v) { __builtin_memcpy(p, &v, sizeof v); }
  KL_INLINE F set(float v) { return F{v, v, v, v}; }
  KL_INLINE I set_int(int32_t v) { return I{v, v, v, v}; }
  [[gnu::noinline]] static F fma(F a, F b, F c) {  // long where there is no instruction: one copy
    F out;
    for (int i = 0; i < kLanes; ++i) out[i] = fma_one(a[i], b[i], c[i]);
    return out;
  }
  KL_INLINE F fnma(F a, F b, F c) { return fma(0.0f - a, b, c); }  // c - a b, rounded once
  KL_INLINE F divide(F a, F b) { return a / b; }
  KL_INLINE F min(F a, F b) { return select(a < b, a, b); }
  KL_INLINE F max(F a, F b) { return select(a > b, a, b); }
  KL_INLINE F abs(F a) { return from_bits(bits(a) & 0x7fffffff); }
  KL_INLINE F select_less(F a, F b, F yes, F no) { return select(a < b, yes, no); }
  KL_INLINE I max_int(I a, I b) {
    const I more = a > b;
    return (a & more) | (b & ~more);
  }
  KL_INLINE I add_int(I a, I b) { return a + b; }
  KL_INLINE I bits(F a) { return reinterpret_cast<I>(a); }
  KL_INLINE F from_bits(I a) { return reinterpret_cast<F>(a); }
  // To nearest even, for |a| < 2^22: adding 1.5 * 2^23 leaves the rounded integer in the low bits.
  KL_INLINE I round(F a) { return bits(a + 12582912.0f) - 0x4b400000; }
  KL_INLINE F to_float(I a) { return __builtin_convertvector(a, F); }
  template <int kShift>
  KL_INLINE I shift_left(I a) {
    return a << kShift;
  }
  KL_INLINE int32_t reduce_max(I a) {
    int32_t m = a[0];
    for (int i = 1; i < kLanes; ++i) m = a[i] > m ? a[i] : m;
    return m;
  }

  KL_INLINE F load_f16(const std::byte* p) {
    uint16_t h[kLanes];
    __builtin_memcpy(h, p, sizeof h);
    return F{f16_to_f32(h[0]), f16_to_f32(h[1]), f16_to_f32(h[2]), f16_to_f32(h[3])};
  }
  KL_INLINE F load_bf16(const std::byte* p) {
    uint16_t h[kLanes];
    __builtin_memcpy(h, p, sizeof h);
    return from_bits(I{h[0], h[1], h[2], h[3]} << 16);
  }
  KL_INLINE I load_u8(const std::byte* p) {
    uint8_t b[kLanes];
    __builtin_memcpy(b, p, sizeof b);
    return I{b[0], b[1], b[2], b[3]};
  }
  KL_INLINE I load_i8(const std::byte* p) {
    int8_t b[kLanes];
    __builtin_memcpy(b, p, sizeof b);
    return I{b[0], b[1], b[2], b[3]};
  }
  KL_INLINE void store_i8(int8_t* p, I v) {
    for (int i = 0; i < kLanes; ++i) p[i] = static_cast<int8_t>(v[i] < -128 ? -128 : v[i] > 127 ? 127 : v[i]);
  }
  KL_INLINE int32_t sum_bytes(const int8_t* p) {  // of 16
    int32_t sum = 0;
    for (int i = 0; i < 16; ++i) sum += p[i];
    return sum;
  }

 private:
  KL_INLINE F select(I mask, F yes, F no) { return from_bits((bits(yes) & mask) | (bits(no) & ~mask)); }
  // a * b + c rounded once. Without an instruction: the product of two floats is exact in double; the sum is rounded to odd (its error term says
  // whether it was exact), which makes the final rounding to float the only one that counts (Boldo and Melquiond, 2008).
  KL_INLINE float fma_one(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    const double product = static_cast<double>(a) * b;
    const double addend = c;
    const double sum = product + addend;
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    int64_t word;
    __builtin_memcpy(&word, &sum, sizeof word);
    const int64_t inexact = (error > 0.0 || error < 0.0) ? 1 : 0;
    const int64_t outwards = ((error > 0.0) == (sum > 0.0)) ? 1 : -1;
    word += inexact & ~word & 1 ? outwards : 0;
    double odd;
    __builtin_memcpy(&odd, &word, sizeof odd);
    return static_cast<float>(odd);
#endif
  }
};

}  // namespace
}  // namespace kl::cpu
