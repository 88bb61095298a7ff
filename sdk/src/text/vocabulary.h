// A tokenizer's vocabulary: what a model file says about its tokens, checked once, immutable afterwards (rules R3, R8, R27).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/pretokenizer.h"
#include "text/vocabulary_merges.h"

namespace kl {

using TokenId = int32_t;

// The numbers are those of GGUF's tokenizer.ggml.token_type.
enum class TokenKind : uint8_t { undefined = 0, normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

enum class VocabularyKind : uint8_t {
  bpe,  // merges by rank; words cut by a pre-tokenizer
  spm,  // SentencePiece BPE: merges by the score of the result
};

// What a file says, unchecked. The spans and views are read by Vocabulary::create only; they need not outlive it.
struct VocabularyData {
  VocabularyKind kind = VocabularyKind::bpe;
  std::string_view pretokenizer;             // bpe: a name of pretokenizer_table.cpp
  std::span<const std::string_view> tokens;  // text by id; byte-level bpe: in GPT-2's byte alphabet; spm: "\u2581" for a space
  std::span<const float> scores;             // spm: one per token; bpe: not looked at
  std::span<const int64_t> kinds;            // one TokenKind per token, or empty: all normal
  std::span<const std::string_view> merges;  // bpe: "left right", best first
  std::optional<uint64_t> bos, eos, eot, eom, unk, pad;
  bool add_bos = false;  // encode puts bos in front
  bool add_eos = false;
  bool add_space_prefix = false;          // spm: a space before text that begins the input or follows a special token
  std::span<const uint64_t> strip_right;  // matching one of these special tokens swallows the white space behind it
};

// Shareable between threads. Ids given to its functions must be in [0, size()); has() tells.
class Vocabulary {
 public:
  // Error corrupt: ids, sizes or merges that contradict each other, naming the first; unsupported: an unknown pre-tokenizer.
  //
  // Kinds are corrected where files are known to be wrong: tokens that end a turn or mark fill-in-the-middle are control tokens whatever
  // the file says (vocabulary_roles.cpp), and so are bos, eos, eot and eom when the file calls them user-defined.
  static Result<std::shared_ptr<const Vocabulary>> create(const VocabularyData& data);

  size_t size() const { return kinds_.size(); }
  bool has(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < size(); }

  VocabularyKind kind() const { return kind_; }
  const PretokenizerRecipe* pretokenizer() const { return recipe_; }  // null for spm

  std::string_view text(TokenId id) const { return slice(texts_, text_ends_, id); }     // as the file has it
  std::string_view piece(TokenId id) const { return slice(pieces_, piece_ends_, id); }  // the bytes it stands for; not always whole UTF-8
  TokenKind token_kind(TokenId id) const { return kinds_[static_cast<size_t>(id)]; }
  // Control, unknown and unused tokens: not part of a text unless asked for.
  bool is_special(TokenId id) const;
  // Tokens after which a generation stops: eos, eot, eom and those known by name. Ascending.
  std::span<const TokenId> end_ids() const { return end_ids_; }
  bool is_end(TokenId id) const;

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> eot() const { return eot_; }
  std::optional<TokenId> unk() const { return unk_; }
  std::optional<TokenId> pad() const { return pad_; }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }
  bool add_space_prefix() const { return add_space_prefix_; }
  bool strips_right(TokenId id) const;

  // The token with this very text, of any kind.
  std::optional<TokenId> find(std::string_view text) const;
  // The same among the tokens that plain text may turn into: not control, unknown or byte tokens (R15).
  std::optional<TokenId> find_plain(std::string_view text) const;
  // The token of one byte: of the byte alphabet, or "<0xNN>". Nothing when the vocabulary has none.
  std::optional<TokenId> byte_token(uint8_t byte) const;
  float score(TokenId id) const { return scores_[static_cast<size_t>(id)]; }  // spm only
  const MergeTable& merges() const { return merges_; }                        // bpe only

 private:
  Status load_tokens(const VocabularyData& data);
  Status load_ids(const VocabularyData& data);
  struct ParsedMerge {
    TokenId left, right, result;
  };
  Vocabulary() = default;
  Status index_texts();
  Status parse_merges(const VocabularyData& data, std::vector<ParsedMerge>& merges) const;
  void assign_roles(std::span<const ParsedMerge> merges);
  Status load_pieces();
  std::string_view slice(const std::string& blob, const std::vector<uint32_t>& ends, TokenId id) const {
    const auto i = static_cast<size_t>(id);
    const uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return {blob.data() + begin, ends[i] - begin};
  }

  VocabularyKind kind_ = VocabularyKind::bpe;
  const PretokenizerRecipe* recipe_ = nullptr;
  std::string texts_, pieces_;
  std::vector<uint32_t> text_ends_, piece_ends_;
  std::vector<TokenKind> kinds_;
  std::vector<float> scores_;
  std::vector<uint64_t> index_;  // open addressing over texts: high half a tag of the hash, low half id + 1, 0 free
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};  // -1: none
  std::vector<TokenId> end_ids_, strip_right_;
  std::optional<TokenId> bos_, eos_, eot_, eom_, unk_, pad_;
  bool add_bos_ = false, add_eos_ = false, add_space_prefix_ = false;
};

}  // namespace kl
