// cp.async: 16 bytes from global to shared memory behind the thread's back (sm_80 on). Copies form groups by commit; a thread sees its own groups once it has
// waited for them, other threads after a barrier behind that.
#pragma once
#include "cuda/common/kernel.cuh"

namespace kl::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

// Older cards copy at once: the same result.
template <class T>
KL_DEVICE void copy_async_16(T* to, const void* from, bool read = true) {
  *reinterpret_cast<uint4*>(to) = read ? load_16(from) : make_uint4(0, 0, 0, 0);
}
template <class T>
KL_DEVICE void copy_async_8(T* to, const void* from, bool read = true) {
  *reinterpret_cast<uint2*>(to) = read ? load_8(from) : make_uint2(0, 0);
}
KL_DEVICE void copy_async_commit() {}
template <int kPending>
KL_DEVICE void copy_async_wait() {}

#elif defined(__CUDACC__)

// Both addresses multiples of 16. read: false writes zeros and touches nothing in global memory.
template <class T>
KL_DEVICE void copy_async_16(T* to, const void* from, bool read = true) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = read ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
}
// The same for 8 bytes, through L1.
template <class T>
KL_DEVICE void copy_async_8(T* to, const void* from, bool read = true) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = read ? 8 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
}
KL_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most `kPending` of the newest groups are under way.
template <int kPending>
KL_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

#else

template <class T>
inline void copy_async_16(const SharedPointer<T>& to, const void* from, bool read = true,
                          cuda_host::Site site = cuda_host::Site::current()) {
  if (to.offset() % 16 != 0 || (read && reinterpret_cast<uintptr_t>(from) % 16 != 0))
    cuda_host::report("cp.async of misaligned 16 bytes", site);
  cuda_host::async_copy(to.range(), to.offset(), to.address(), from, 16, read ? 0 : 16, site);
}
template <class T>
inline void copy_async_8(const SharedPointer<T>& to, const void* from, bool read = true,
                         cuda_host::Site site = cuda_host::Site::current()) {
  if (to.offset() % 8 != 0 || (read && reinterpret_cast<uintptr_t>(from) % 8 != 0))
    cuda_host::report("cp.async of misaligned 8 bytes", site);
  cuda_host::async_copy(to.range(), to.offset(), to.address(), from, 8, read ? 0 : 8, site);
}
inline void copy_async_commit() { cuda_host::async_commit(); }
template <int kPending>
inline void copy_async_wait(cuda_host::Site site = cuda_host::Site::current()) {
  cuda_host::async_wait(kPending, site);
}

#endif

}  // namespace kl::cuda
