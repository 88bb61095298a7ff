// Stop texts that may be cut anywhere by token borders: text that could be the start of one is held back until it is clear.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace kl {

class StopTexts {
 public:
  static constexpr size_t kMaxTexts = 64, kMaxBytes = 1024;
  // Error invalid_argument: more than 64, one empty or longer than 1,024 bytes, or not UTF-8 (naming its number).
  static Result<StopTexts> create(std::vector<std::string> texts);
  StopTexts() = default;

  // More text (whole UTF-8 characters). Appends to `out` what is certainly not part of a stop text. True: a stop text is complete; it and all after it is dropped,
  // and further calls append nothing.
  bool push(std::string_view piece, std::string& out);
  // No more comes: appends what was held back.
  void flush(std::string& out);
  size_t held() const { return held_.size(); }  // bytes, less than the longest stop text

 private:
  std::vector<std::string> texts_;
  std::string held_;
  bool matched_ = false;
};

// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)?
bool is_utf8(std::string_view text);

}  // namespace kl
