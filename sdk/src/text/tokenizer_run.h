// The encoders of text between special tokens, one per vocabulary kind, and what they share.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.h"
#include "core/status.h"
#include "text/tokenizer_merge.h"
#include "text/vocabulary.h"

namespace kl {

// Words of one text that were encoded already. Text repeats itself: nine of ten words of English prose are found here. Each place holds one
// word; a newer one takes it. The ids are those in the output, so the cache owns nothing but its places.
class WordCache {
 public:
  // For about this many bytes of text; short texts get no cache.
  explicit WordCache(size_t text_bytes) {
    if (text_bytes < 512) return;
    size_t places = 256;
    while (places < 32768 && places * 16 < text_bytes) places *= 2;
    places_.resize(places);
  }

  // Appends the ids of a known word. The words given to one cache must stay where they are in memory.
  bool replay(std::string_view word, std::vector<TokenId>& out) {
    if (places_.empty() || word.size() > kLongest) return false;
    const Place& place = places_[hash64(word) & (places_.size() - 1)];
    if (place.length != word.size() || std::memcmp(place.text, word.data(), word.size()) != 0) return false;
    for (uint32_t i = 0; i < place.count; ++i) out.push_back(out[place.first + i]);
    return true;
  }
  // The word's ids are out[first] and up to the end.
  void remember(std::string_view word, size_t first, const std::vector<TokenId>& out) {
    if (places_.empty() || word.size() > kLongest) return;
    places_[hash64(word) & (places_.size() - 1)] = {word.data(), first, static_cast<uint32_t>(word.size()),
                                                    static_cast<uint32_t>(out.size() - first)};
  }

 private:
  static constexpr size_t kLongest = 64;
  struct Place {
    const char* text = nullptr;
    size_t first = 0;
    uint32_t length = 0, count = 0;
  };
  std::vector<Place> places_;
};

class RunEncoder {
 public:
  virtual ~RunEncoder() = default;
  // Appends the ids of a whole run: text without special tokens, which begins the input or follows a special token.
  virtual Status encode(std::string_view text, MergeScratch& scratch, std::vector<TokenId>& out) const = 0;
};

// The vocabulary must outlive the encoder. Errors: those of Tokenizer::create.
Result<std::unique_ptr<const RunEncoder>> make_bpe_encoder(const Vocabulary& vocabulary);
std::unique_ptr<const RunEncoder> make_spm_encoder(const Vocabulary& vocabulary);

// Appends the token of a byte; where there is none the unknown token (spm, and only if it is no control token) or nothing.
void append_byte(const Vocabulary& vocabulary, uint8_t byte, std::vector<TokenId>& out);
// Appends text with every space written as U+2581.
void append_with_spm_spaces(std::string& out, std::string_view text);

}  // namespace kl
