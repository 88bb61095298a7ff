// Byte-pair encoding with ranked merges, over bytes (GPT-2 and most after it) or over characters (Gemma 4).
#include <utility>

#include "text/tokenizer_run.h"
#include "text/tokenizer_utf8.h"

namespace kl {
namespace {

struct Alphabet {
  std::array<char32_t, 256> of{};
  constexpr Alphabet() {
    for (uint32_t b = 0; b < 256; ++b) of[b] = byte_to_alphabet(static_cast<uint8_t>(b));
  }
};
constexpr Alphabet kAlphabet;

class BpeEncoder final : public RunEncoder {
 public:
  BpeEncoder(const Vocabulary& vocabulary, std::unique_ptr<const Pretokenizer> pretokenizer)
      : vocabulary_(vocabulary), recipe_(*vocabulary.pretokenizer()), pretokenizer_(std::move(pretokenizer)) {
    for (uint32_t b = 0; b < 256; ++b) byte_tokens_[b] = vocabulary.byte_token(static_cast<uint8_t>(b)).value_or(-1);
  }

  Status encode(std::string_view text, MergeScratch& scratch, std::vector<TokenId>& out) const override {
    while (!text.empty()) {
      const size_t valid = utf8_valid_prefix(text);
      KL_TRY(encode_valid(text.substr(0, valid), scratch, out));
      text.remove_prefix(valid);
      if (text.empty()) break;
      append_byte(vocabulary_, static_cast<uint8_t>(text.front()), out);
      text.remove_prefix(1);
    }
    return {};
  }

 private:
  Status encode_valid(std::string_view text, MergeScratch& scratch, std::vector<TokenId>& out) const {
    std::string changed;
    if (recipe_.nfc) {
      changed = normalized_nfc(text);
      text = changed;
    } else if (!recipe_.byte_level) {
      append_with_spm_spaces(changed, text);
      text = changed;
    }
    std::vector<size_t> ends;
    KL_TRY(pretokenizer_->split(text, ends));
    WordCache cache(text.size());
    size_t begin = 0;
    for (const size_t end : ends) {
      const std::string_view word = text.substr(begin, end - begin);
      begin = end;
      if (cache.replay(word, out)) continue;
      const size_t first = out.size();
      encode_word(word, scratch, out);
      cache.remember(word, first, out);
    }
    return {};
  }

  void encode_word(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& out) const {
    if (const auto whole = whole_word(word)) {
      out.push_back(*whole);
      return;
    }
    auto& symbols = scratch.symbols;
    symbols.clear();
    for (size_t at = 0; at < word.size();) {
      const size_t length = recipe_.byte_level ? 1 : utf8_front(word.substr(at)).length;
      const TokenId token =
          recipe_.byte_level ? byte_tokens_[static_cast<uint8_t>(word[at])] : vocabulary_.find_plain(word.substr(at, length)).value_or(-1);
      // A byte that the vocabulary lacks (SmolLM2 has none for 0x04) leaves nothing, and its neighbours meet, as in Hugging Face's
      // tokenizers.
      if (token >= 0 || !recipe_.byte_level) {
        const auto index = static_cast<uint32_t>(symbols.size());
        symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(length), index - 1, index + 1, token});
      }
      at += length;
    }
    if (symbols.empty()) return;
    symbols.back().next = kNoSymbol;  // the first one's `previous` is kNoSymbol by wrapping
    const MergeTable& merges = vocabulary_.merges();
    merge_symbols(scratch, [&](const MergeSymbol& left, const MergeSymbol& right) {
      const MergeTable::Merge* merge = merges.find(left.token, right.token);
      return merge == nullptr ? MergeCandidate{} : MergeCandidate{merge->rank, merge->result};
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

  // The token that is this word, where merges are not asked.
  std::optional<TokenId> whole_word(std::string_view word) const {
    if (!recipe_.byte_level) {  // runs of line ends are tokens of their own
      return word.find_first_not_of('\n') == std::string_view::npos ? vocabulary_.find_plain(word) : std::nullopt;
    }
    if (!recipe_.ignore_merges) return std::nullopt;
    std::string text;
    for (const char byte : word) utf8_append(text, kAlphabet.of[static_cast<uint8_t>(byte)]);
    return vocabulary_.find_plain(text);
  }

  const Vocabulary& vocabulary_;
  const PretokenizerRecipe& recipe_;
  std::unique_ptr<const Pretokenizer> pretokenizer_;
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace

Result<std::unique_ptr<const RunEncoder>> make_bpe_encoder(const Vocabulary& vocabulary) {
  KL_ASSIGN(std::unique_ptr<const Pretokenizer> pretokenizer, Pretokenizer::create(*vocabulary.pretokenizer()));
  return std::unique_ptr<const RunEncoder>(std::make_unique<BpeEncoder>(vocabulary, std::move(pretokenizer)));
}

}  // namespace kl
