// SentencePiece's byte-pair encoding (Llama 2, Mistral, Phi-3, Gemma): joins the neighbours that make the token of the highest score.
// Source: Kudo and Richardson 2018 (arXiv:1808.06226); spaces, prefix and byte fallback as llama.cpp has them.
#include <bit>

#include "text/tokenizer_run.h"
#include "text/tokenizer_utf8.h"

namespace kl {
namespace {

// Ascending numbers for descending scores.
uint32_t order_of(float score) {
  const auto bits = std::bit_cast<uint32_t>(score == 0.0F ? 0.0F : score);  // -0 and 0 are equal
  const uint32_t ascending = (bits >> 31U) != 0 ? ~bits : bits | 0x80000000U;
  return ~ascending;
}

bool starts_space(std::string_view text) { return text.substr(0, kSpmSpace.size()) == kSpmSpace; }

class SpmEncoder final : public RunEncoder {
 public:
  explicit SpmEncoder(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    for (size_t i = 0; i < vocabulary.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const std::string_view text = vocabulary.text(id);
      if (vocabulary.find_plain(text) != id) continue;
      longest_ = std::max(longest_, text.size());
      splits_at_spaces_ = splits_at_spaces_ && !has_inner_space(text);
    }
  }

  Status encode(std::string_view text, MergeScratch& scratch, std::vector<TokenId>& out) const override {
    std::string spaced;
    spaced.reserve(text.size() + text.size() / 2 + kSpmSpace.size());
    if (vocabulary_.add_space_prefix()) spaced += kSpmSpace;
    append_with_spm_spaces(spaced, text);
    WordCache cache(spaced.size());
    std::string_view rest = spaced;
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, word_length(rest));
      rest.remove_prefix(word.size());
      if (cache.replay(word, out)) continue;
      const size_t before = out.size();
      encode_word(word, scratch, out);
      cache.remember(word, before, out);
    }
    return {};
  }

 private:
  // A space after something else.
  static bool has_inner_space(std::string_view text) {
    while (starts_space(text)) text.remove_prefix(kSpmSpace.size());
    return text.find(kSpmSpace) != std::string_view::npos;
  }

  // Spaces and what follows up to the next space. No token reaches across such an end, so words can be encoded one by one with the same
  // result; where the vocabulary has tokens that do, the whole text is one word.
  size_t word_length(std::string_view text) const {
    if (!splits_at_spaces_) return text.size();
    size_t at = 0;
    while (starts_space(text.substr(at))) at += kSpmSpace.size();
    const size_t end = text.find(kSpmSpace, at);
    return end == std::string_view::npos ? text.size() : end;
  }

  void encode_word(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& out) const {
    auto& symbols = scratch.symbols;
    symbols.clear();
    for (size_t at = 0; at < word.size();) {
      const Utf8Front front = utf8_front(word.substr(at));
      const size_t length = front.valid ? front.length : 1;
      const auto index = static_cast<uint32_t>(symbols.size());
      symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1,
                         vocabulary_.find_plain(word.substr(at, length)).value_or(-1)});
      at += length;
    }
    symbols.back().next = kNoSymbol;  // the first one's `previous` is kNoSymbol by wrapping
    merge_symbols(scratch, [&](const MergeSymbol& left, const MergeSymbol& right) {
      const size_t length = size_t{left.length} + right.length;
      if (length > longest_) return MergeCandidate{};
      const auto token = vocabulary_.find_plain(word.substr(left.begin, length));
      return token ? MergeCandidate{order_of(vocabulary_.score(*token)), *token} : MergeCandidate{};
    });
    for (const MergeSymbol& symbol : symbols) {
      if (symbol.length == 0) continue;
      if (symbol.token >= 0) {
        out.push_back(symbol.token);
      } else {
        for (const char byte : word.substr(symbol.begin, symbol.length)) append_byte(vocabulary_, static_cast<uint8_t>(byte), out);
      }
    }
  }

  const Vocabulary& vocabulary_;
  size_t longest_ = 0;  // bytes of the longest token
  bool splits_at_spaces_ = true;
};

}  // namespace

std::unique_ptr<const RunEncoder> make_spm_encoder(const Vocabulary& vocabulary) { return std::make_unique<SpmEncoder>(vocabulary); }

}  // namespace kl
