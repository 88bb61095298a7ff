// Token ids to text, one by one as a model makes them. What comes out is always valid UTF-8 (R23).
#pragma once
#include <memory>
#include <span>
#include <string>

#include "core/status.h"
#include "text/vocabulary.h"

namespace kl {

// One stream. Not shareable between threads without a lock.
class Detokenizer {
 public:
  struct Options {
    bool render_special = false;  // control, unknown and unused tokens appear with their texts; otherwise they leave nothing
    bool text_start = true;  // the stream begins a text: the space that encode put in front (Vocabulary::add_space_prefix) is taken off
  };

  Detokenizer(std::shared_ptr<const Vocabulary> vocabulary, const Options& options);

  // Appends the text that this token completes: nothing, while a character lacks bytes (at most 3 are held back). Bytes that are no
  // UTF-8 become U+FFFD, one per maximal part, as in Python's errors="replace". Error invalid_argument: no such id; nothing changes.
  Status push(TokenId id, std::string& out);
  // The end of the stream: a character that was never completed becomes U+FFFD. The stream can start anew.
  void finish(std::string& out);
  size_t held_bytes() const { return held_.size(); }

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  Options options_;
  std::string held_;  // the beginning of a character
  bool at_start_ = true;
};

// All at once: what the stream gives, put together.
Result<std::string> detokenize(std::shared_ptr<const Vocabulary> vocabulary, std::span<const TokenId> ids,
                               const Detokenizer::Options& options);

}  // namespace kl
