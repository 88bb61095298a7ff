// Every byte this test executable takes from operator new, so that a test can say how much memory a load takes (bar A4).
#pragma once
#include <cstdint>

namespace kl::test {

uint64_t bytes_in_use();
uint64_t peak_bytes();  // the most in use since reset_peak()
void reset_peak();      // peak := in use
// From now on operator new fails for the n-th call (0: the next) and `all_later`: every one after it. UINT64_MAX: never.
void fail_allocation(uint64_t n, bool all_later);
uint64_t allocations();  // calls since fail_allocation()

}  // namespace kl::test
