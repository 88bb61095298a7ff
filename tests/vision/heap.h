// How much memory a piece of code has in use at once: malloc is counted, ours and that of the libraries below us.
#pragma once
#include <cstddef>

namespace kl::testing {

// Off where a sanitizer brings its own malloc.
bool heap_is_counted();

// From its construction on; one at a time.
class HeapPeak {
 public:
  HeapPeak();
  size_t bytes() const;  // the most that was in use beyond what was at the beginning

 private:
  size_t before_;
};

}  // namespace kl::testing
