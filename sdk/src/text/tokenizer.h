// Text to token ids: special tokens first, then byte-pair encoding of what lies between them.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/vocabulary.h"

namespace kl {

// A stretch of a prompt. Trusted characters were written by the chat template, the others by a user, a tool or a document.
struct TextPiece {
  std::string_view text;
  bool trusted = false;
};

// Shareable between threads.
//
// Special tokens (R15): control and unknown tokens are recognised only where every character of theirs is trusted. User-defined tokens
// (Qwen's "<think>", Gemma's runs of line ends) are recognised in any text, as the models' own tokenizers do: they carry no authority, and
// an earlier answer that is sent back as content must give the ids it was generated with. At each place the longest one wins. The text
// between two special tokens is encoded as one run, whoever wrote its parts: merges cross the seam.
//
// Bytes that are not UTF-8 end a word and become byte tokens. A byte for which the vocabulary has no token leaves nothing (bpe) or the
// unknown token (spm), as in the models' own tokenizers.
class Tokenizer {
 public:
  struct Options {
    bool add_special = true;  // bos in front and eos behind as the vocabulary says; no second one where the text brings its own
    // A stretch of a longer input, between rows of images, say, at which it is cut as at special tokens.
    bool begins = true;  // false: something stands before: no bos
    bool ends = true;    // false: something follows: no eos
  };

  // Error unsupported or internal: the vocabulary's pre-tokenizer.
  static Result<std::shared_ptr<const Tokenizer>> create(std::shared_ptr<const Vocabulary> vocabulary);
  virtual ~Tokenizer() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // Error invalid_argument: more than 1 GiB of text, or a text that the pre-tokenizer gives up on. One long run costs n log n.
  // Memory: about 80 bytes per byte of the longest word, and the ids.
  virtual Result<std::vector<TokenId>> encode(std::span<const TextPiece> pieces, const Options& options) const = 0;
  // One piece; parse_special: it is trusted.
  Result<std::vector<TokenId>> encode(std::string_view text, bool parse_special, const Options& options) const {
    const TextPiece piece{text, parse_special};
    return encode(std::span(&piece, 1), options);
  }
};

}  // namespace kl
