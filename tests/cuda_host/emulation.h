// What a kernel body (backends/cuda/kernels/*.cu) sees where it is compiled as host C++: the part of CUDA that kernels use, checked. Included by
// backends/cuda/common/kernel.cuh alone. What is not here (wgmma, TMA, clusters, distributed shared memory: Hopper and newer) cannot be tested without a card and
// is therefore not used outside files of its own.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_host/block.h"
#include "cuda_host/kernels.h"

#define threadIdx ::kl::cuda_host::thread_index
#define blockIdx ::kl::cuda_host::block_index
#define blockDim ::kl::cuda_host::block_size
#define gridDim ::kl::cuda_host::grid_size

// ---- vector types: as CUDA lays them out ----

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---- arithmetic ----

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline int __float2int_rn(float v) {  // to even; NaN is 0, what does not fit is the nearest that does
  if (std::isnan(v)) return 0;
  return v >= 0x1p31f ? INT32_MAX : v < -0x1p31f ? INT32_MIN : static_cast<int>(std::nearbyint(v));
}
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __dp4a(int a, int b, int c) {  // four products of signed bytes
  for (int i = 0; i < 4; ++i) c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
  return c;
}
inline unsigned __byte_perm(unsigned a, unsigned b,
                            unsigned selector) {  // four of eight bytes; bit 3 of a selector spreads the byte's sign
  const uint64_t both = (uint64_t{b} << 32) | a;
  unsigned out = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned s = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(both >> (8 * (s & 7u))) & 255u;
    if ((s & 8u) != 0) byte = (byte & 0x80u) != 0 ? 255u : 0u;
    out |= byte << (8 * i);
  }
  return out;
}

// Blocks run one after the other and a thread gives way only where it waits, so these are atomic as they are.
template <class T>
inline T atomicAdd(T* at, T value) {
  const T old = *at;
  *at = old + value;
  return old;
}
template <class T>
inline T atomicMax(T* at, T value) {
  const T old = *at;
  if (value > old) *at = value;
  return old;
}
template <class T>
inline T atomicOr(T* at, T value) {
  const T old = *at;
  *at = old | value;
  return old;
}
template <class T>
inline T atomicAnd(T* at, T value) {
  const T old = *at;
  *at = old & value;
  return old;
}
template <class T>
inline T atomicCAS(T* at, T compare, T value) {
  const T old = *at;
  if (old == compare) *at = value;
  return old;
}
// Counts a block in: from `limit` back to 0. What is checked is in block.h.
inline unsigned atomicInc(unsigned* at, unsigned limit, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  kl::cuda_host::count_in(at, site);
  const unsigned old = *at;
  *at = old >= limit ? 0 : old + 1;
  return old;
}
inline void __threadfence() { kl::cuda_host::fence(); }

// ---- barriers and warps ----

inline void __syncthreads(kl::cuda_host::Site site = kl::cuda_host::Site::current()) { kl::cuda_host::barrier(0, 0, site); }
inline void __syncwarp(unsigned mask = kl::cuda_host::kFullMask, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  (void)kl::cuda_host::gather(mask, nullptr, 0, "__syncwarp", site);
}

namespace kl::cuda_host {

template <class T>
inline T shuffle(unsigned mask, T value, uint32_t from, const char* name, const Site& site) {
  static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 16);
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &value, sizeof value);
  const Gathered all = gather(mask, words, sizeof(T) / 4, name, site);
  if (from >= kWarp) return value;
  if ((all.mask >> from & 1u) == 0) {
    report(std::string(name) + " from lane " + std::to_string(from) + ", which takes no part,", site);
    return value;
  }
  std::memcpy(&value, all.words[from], sizeof value);
  return value;
}
// The lane `step` away within its group of `width`, or kWarp where there is none.
inline uint32_t within(uint32_t lane, int step, int width) {
  const int at = static_cast<int>(lane) % width + step;
  return at < 0 || at >= width ? kWarp : lane + static_cast<uint32_t>(step);
}

}  // namespace kl::cuda_host

template <class T>
inline T __shfl_sync(unsigned mask, T value, int from, int width = 32, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  const uint32_t first = kl::cuda_host::lane() / static_cast<uint32_t>(width) * static_cast<uint32_t>(width);
  return kl::cuda_host::shuffle(mask, value, first + static_cast<uint32_t>(from) % static_cast<uint32_t>(width), "__shfl_sync", site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  const uint32_t to = kl::cuda_host::lane() ^ static_cast<uint32_t>(bits), own = kl::cuda_host::lane() / static_cast<uint32_t>(width);
  return kl::cuda_host::shuffle(mask, value, to / static_cast<uint32_t>(width) > own ? kl::cuda_host::kWarp : to, "__shfl_xor_sync", site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned step, int width = 32,
                          kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  return kl::cuda_host::shuffle(mask, value, kl::cuda_host::within(kl::cuda_host::lane(), static_cast<int>(step), width),
                                "__shfl_down_sync", site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned step, int width = 32, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  return kl::cuda_host::shuffle(mask, value, kl::cuda_host::within(kl::cuda_host::lane(), -static_cast<int>(step), width), "__shfl_up_sync",
                                site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  const uint32_t word = predicate != 0 ? 1 : 0;
  const kl::cuda_host::Gathered all = kl::cuda_host::gather(mask, &word, 1, "__ballot_sync", site);
  unsigned votes = 0;
  for (uint32_t l = 0; l < kl::cuda_host::kWarp; ++l) {
    if ((all.mask >> l & 1u) != 0 && all.words[l][0] != 0) votes |= 1u << l;
  }
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, kl::cuda_host::Site site = kl::cuda_host::Site::current()) {
  return __ballot_sync(mask, predicate == 0 ? 1 : 0, site) == 0 ? 1 : 0;
}

// ---- shared memory ----

namespace kl::cuda_host {

// An element of shared memory: reads and writes are seen by the checks.
template <class T>
class SharedRef {
 public:
  SharedRef(const CellRange* range, T* at, size_t offset, const Site& site) : range_(range), at_(at), offset_(offset), site_(site) {}
  SharedRef(const SharedRef&) = default;
  operator T() const {  // NOLINT(google-explicit-constructor)
    touch(*range_, offset_, sizeof(T), false, site_);
    return *at_;
  }
  SharedRef& operator=(const T& value) {
    touch(*range_, offset_, sizeof(T), true, site_);
    *at_ = value;
    return *this;
  }
  SharedRef& operator=(const SharedRef& other) { return *this = static_cast<T>(other); }
  SharedRef& operator+=(const T& value) { return *this = static_cast<T>(*this) + value; }
  SharedRef& operator-=(const T& value) { return *this = static_cast<T>(*this) - value; }
  SharedRef& operator*=(const T& value) { return *this = static_cast<T>(*this) * value; }
  SharedRef& operator|=(const T& value) { return *this = static_cast<T>(*this) | value; }

 private:
  const CellRange* range_;
  T* at_;
  size_t offset_;
  Site site_;
};

// An index that remembers where in the source it was written.
struct SitedIndex {
  template <class I>
  requires std::is_integral_v<I> SitedIndex(I index, Site where = Site::current())
      : value(static_cast<ptrdiff_t>(index)), site(where) {}  // NOLINT(google-explicit-constructor)
  ptrdiff_t value;
  Site site;
};

// Shared memory as a kernel sees it: where CUDA has T*.
template <class T>
class SharedPtr {
 public:
  SharedPtr() = default;
  SharedPtr(const CellRange* range, std::byte* base, ptrdiff_t offset) : range_(range), base_(base), offset_(offset) {}
  SharedRef<T> operator[](const SitedIndex& i) const {
    const auto at = static_cast<size_t>(offset_ + i.value * static_cast<ptrdiff_t>(sizeof(T)));
    return {range_, reinterpret_cast<T*>(base_ + at), at, i.site};
  }
  SharedPtr operator+(ptrdiff_t n) const { return {range_, base_, offset_ + n * static_cast<ptrdiff_t>(sizeof(T))}; }
  template <class U>
  SharedPtr<U> as() const {
    return {range_, base_, offset_};
  }
  const CellRange& range() const { return *range_; }
  size_t offset() const { return static_cast<size_t>(offset_); }
  std::byte* address() const { return base_ + offset_; }

 private:
  const CellRange* range_ = nullptr;
  std::byte* base_ = nullptr;
  ptrdiff_t offset_ = 0;
};

template <class T, size_t kCount>
class SharedArray {
 public:
  explicit SharedArray(const char* name) : range_{cells_, name, kGranule, sizeof(T) * kCount} {}
  SharedRef<T> operator[](const SitedIndex& i) { return pointer()[i]; }
  operator SharedPtr<T>() { return pointer(); }  // NOLINT(google-explicit-constructor)
  SharedPtr<T> operator+(ptrdiff_t n) { return pointer() + n; }

 private:
  static constexpr uint32_t kGranule = alignof(T) >= 4 ? 4 : static_cast<uint32_t>(alignof(T));
  SharedPtr<T> pointer() { return {&range_, data_, 0}; }
  alignas(16) std::byte data_[sizeof(T) * kCount];
  Cell cells_[sizeof(T) * kCount / kGranule];
  CellRange range_;
};

template <class T>
SharedPtr<T> dynamic_pointer() {
  static CellRange range;
  std::byte* base = dynamic_shared(range);
  return {&range, base, 0};
}

}  // namespace kl::cuda_host

// ---- how kernels are written (backends/cuda/common/kernel.cuh) ----

#define KL_DEVICE inline
#define KL_UNROLL
#define KL_LOOP
#define KL_SHARED(TYPE, NAME, COUNT) static ::kl::cuda_host::SharedArray<TYPE, (COUNT)> NAME(#NAME)
#define KL_DYNAMIC_SHARED(TYPE, NAME) const ::kl::cuda_host::SharedPtr<TYPE> NAME = ::kl::cuda_host::dynamic_pointer<TYPE>()
#define KL_KERNEL_AHEAD(NAME, ARGS, THREADS, BLOCKS)                                                  \
  static void NAME(const ARGS& a);                                                                    \
  static const ::kl::cuda_host::KernelEntry kl_entry_##NAME(                                          \
      #NAME, [](const void* args) { NAME(*static_cast<const ARGS*>(args)); }, sizeof(ARGS), THREADS); \
  static void NAME([[maybe_unused]] const ARGS& a)
#define KL_KERNEL(NAME, ARGS, THREADS)      \
  static void waited_##NAME(const ARGS& a); \
  KL_KERNEL_AHEAD(NAME, ARGS, THREADS, 1) { \
    ::kl::cuda::wait_for_launches_before(); \
    waited_##NAME(a);                       \
  }                                         \
  static void waited_##NAME([[maybe_unused]] const ARGS& a)
#define KL_KERNEL_BLOCKS(NAME, ARGS, THREADS, BLOCKS) KL_KERNEL(NAME, ARGS, THREADS)

namespace kl::cuda {

template <class T>
using SharedPointer = cuda_host::SharedPtr<T>;
template <class U, class T>
inline SharedPointer<U> shared_as(const SharedPointer<T>& p) {
  return p.template as<U>();
}

inline void wait_for_launches_before(cuda_host::Site site = cuda_host::Site::current()) { cuda_host::wait_for_launches_before(site); }

inline void named_barrier(uint32_t id, uint32_t threads, cuda_host::Site site = cuda_host::Site::current()) {
  if (id == 0 || id > 15 || threads % 32 != 0) cuda_host::report("a named barrier of number " + std::to_string(id), site);
  cuda_host::barrier(id, threads, site);
}

}  // namespace kl::cuda
