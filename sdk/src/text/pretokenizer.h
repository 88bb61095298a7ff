// Cutting a text into words before byte-pair encoding. Which way a model wants it is one row of pretokenizer_table.cpp.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace kl {

struct PretokenizerRecipe {
  const char* names;                    // values of GGUF's tokenizer.ggml.pre, separated by spaces
  std::array<const char*, 6> patterns;  // PCRE2 but for \s and \S, which mean Unicode White_Space; null where unused. Each is applied to
                                        // the pieces that the one before left: matches become pieces, and so does what lies between them
  bool nfc = false;                     // text is brought to Unicode normal form C first
  bool ignore_merges = false;           // a word that is a token is that token, whatever the merges say
  bool add_bos = false;                 // when the file does not say
  bool byte_level = true;               // symbols are bytes; false: characters, "\u2581" for a space, "<0xNN>" for what has no token
};

// Every recipe; no name is in two of them.
std::span<const PretokenizerRecipe> pretokenizer_recipes();
// nullptr: no recipe has this name.
const PretokenizerRecipe* find_pretokenizer(std::string_view name);

// The compiled patterns of a recipe. Shareable between threads.
class Pretokenizer {
 public:
  // Error internal: a pattern does not compile.
  static Result<std::unique_ptr<const Pretokenizer>> create(const PretokenizerRecipe& recipe);
  virtual ~Pretokenizer() = default;

  // Replaces `ends` by the ends of the words of text, in bytes, ascending, the last one text.size(). Precondition: text is valid UTF-8.
  // Error invalid_argument: a pattern passed its step limit (which grows with the text).
  virtual Status split(std::string_view text, std::vector<size_t>& ends) const = 0;
};

// text in Unicode normal form C. Precondition: valid UTF-8. Text with more than 1,000 combining marks in a row comes back as it is:
// ordering them takes time quadratic in their number.
std::string normalized_nfc(std::string_view text);

}  // namespace kl
