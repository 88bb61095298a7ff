// What one rendering may use (rule R14). Every loop of the interpreter counts steps, every value it makes is charged here and released when it dies.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kl::jinja {

struct Limits {
  uint64_t steps = 5'000'000;       // one per evaluated node, produced item, or 64 bytes of text written or compared
  size_t output_bytes = 16u << 20;  // of the rendering, and of any single string on the way
  size_t memory_bytes = 64u << 20;  // of all values alive at one time
};

inline constexpr int kMaxParseDepth = 128;      // nested parentheses, brackets and blocks in the source (rule R11)
inline constexpr int kMaxChain = 256;           // a + b + c ..., a.b.c ..., x|f|g ...: height of one expression tree
inline constexpr int kMaxRunDepth = 640;        // nested evaluations, all macro calls together
inline constexpr int kMaxMacroDepth = 64;       // macros inside macros
inline constexpr int kMaxValueDepth = 128;      // lists inside lists
inline constexpr int64_t kMaxRange = 100'000;   // items of range(), as in Jinja's sandbox
inline constexpr size_t kMaxSource = 4u << 20;  // bytes of a template

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  // False when the limit is reached; the count stays there.
  bool spend(uint64_t steps) {
    if (steps > limits_.steps - used_) return used_ = limits_.steps, false;
    used_ += steps;
    return true;
  }
  bool take(size_t bytes) {
    if (bytes > limits_.memory_bytes - held_) return false;
    held_ += bytes;
    return true;
  }
  void release(size_t bytes) { held_ -= bytes; }
  const Limits& limits() const { return limits_; }
  uint64_t steps_used() const { return used_; }

 private:
  Limits limits_;
  uint64_t used_ = 0;
  size_t held_ = 0;
};

// Bytes a value holds of its rendering's budget; values of the host hold none.
class Charge {
 public:
  Charge() = default;
  Charge(Budget* budget, size_t bytes) : budget_(budget), bytes_(bytes) {}
  Charge(Charge&& other) noexcept : budget_(other.budget_), bytes_(other.bytes_) { other.budget_ = nullptr; }
  Charge& operator=(Charge&& other) noexcept {
    if (this != &other) {
      if (budget_) budget_->release(bytes_);
      budget_ = other.budget_;
      bytes_ = other.bytes_;
      other.budget_ = nullptr;
    }
    return *this;
  }
  ~Charge() {
    if (budget_) budget_->release(bytes_);
  }

 private:
  Budget* budget_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace kl::jinja
