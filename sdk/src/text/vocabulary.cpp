#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/checked.h"
#include "core/hash.h"
#include "core/quote.h"
#include "text/tokenizer_utf8.h"
#include "text/vocabulary_roles.h"

namespace kl {
namespace {

constexpr size_t kMostTokens = size_t{1} << 24U;
constexpr size_t kMostTextBytes = size_t{1} << 30U;  // offsets are 32 bits

// "<0x0A>" -> 10. Two hexadecimal digits and nothing else: a sign, a space or a third digit is no byte token.
std::optional<uint8_t> byte_of(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  uint32_t value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return static_cast<uint8_t>(value);
}

// The byte of each character of GPT-2's alphabet (all below U+0144), -1 for the others.
struct AlphabetToByte {
  std::array<int16_t, 0x144> byte{};
  constexpr AlphabetToByte() {
    byte.fill(-1);
    for (int b = 0; b < 256; ++b) byte[byte_to_alphabet(static_cast<uint8_t>(b))] = static_cast<int16_t>(b);
  }
};
constexpr AlphabetToByte kAlphabetToByte;

// False when a character is outside the alphabet: the text then stands for itself.
bool append_alphabet_bytes(std::string& out, std::string_view text) {
  const size_t before = out.size();
  while (!text.empty()) {
    const Utf8Front front = utf8_front(text);
    const int byte = front.valid && front.value < kAlphabetToByte.byte.size() ? kAlphabetToByte.byte[front.value] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(byte));
    text.remove_prefix(front.length);
  }
  return true;
}

void append_spm_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    if (text.substr(0, kSpmSpace.size()) == kSpmSpace) {
      out.push_back(' ');
      text.remove_prefix(kSpmSpace.size());
    } else {
      out.push_back(text.front());
      text.remove_prefix(1);
    }
  }
}

bool may_come_from_text(TokenKind kind) { return kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::byte; }

}  // namespace

Result<std::shared_ptr<const Vocabulary>> Vocabulary::create(const VocabularyData& data) {
  const std::shared_ptr<Vocabulary> made(new Vocabulary);
  Vocabulary& v = *made;
  v.kind_ = data.kind;
  if (data.kind == VocabularyKind::bpe) {
    v.recipe_ = find_pretokenizer(data.pretokenizer);
    if (v.recipe_ == nullptr) return error(Code::unsupported, "unknown pre-tokenizer %s", quoted(data.pretokenizer).c_str());
  }
  KL_TRY(v.load_tokens(data));
  KL_TRY(v.index_texts());
  KL_TRY(v.load_ids(data));
  std::vector<ParsedMerge> merges;
  if (data.kind == VocabularyKind::bpe) KL_TRY(v.parse_merges(data, merges));
  v.assign_roles(merges);
  KL_TRY(v.load_pieces());
  // A control token never comes out of text, also not out of its halves (R15).
  v.merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const ParsedMerge& m = merges[rank];
    if (may_come_from_text(v.token_kind(m.result))) v.merges_.insert(m.left, m.right, {static_cast<uint32_t>(rank), m.result});
  }
  return std::shared_ptr<const Vocabulary>(made);
}

Status Vocabulary::load_tokens(const VocabularyData& data) {
  const size_t count = data.tokens.size();
  if (count == 0 || count > kMostTokens)
    return error(Code::corrupt, "a vocabulary of %zu tokens; 1 to %zu are allowed", count, kMostTokens);
  if (!data.kinds.empty() && data.kinds.size() != count) {
    return error(Code::corrupt, "%zu token types for %zu tokens", data.kinds.size(), count);
  }
  if (data.kind == VocabularyKind::spm && data.scores.size() != count) {
    return error(Code::corrupt, "%zu token scores for %zu tokens", data.scores.size(), count);
  }
  size_t bytes = 0;
  for (const std::string_view text : data.tokens) {
    const auto sum = checked_add(bytes, text.size());
    if (!sum || *sum > kMostTextBytes) return error(Code::corrupt, "token texts of more than %zu bytes in all", kMostTextBytes);
    bytes = *sum;
  }
  texts_.reserve(bytes);
  text_ends_.reserve(count);
  kinds_.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    texts_.append(data.tokens[i]);
    text_ends_.push_back(static_cast<uint32_t>(texts_.size()));
    const int64_t kind = data.kinds.empty() ? int64_t{1} : data.kinds[i];
    if (kind < 0 || kind > 6) return error(Code::corrupt, "token %zu has type %lld; 0 to 6 are known", i, static_cast<long long>(kind));
    kinds_.push_back(static_cast<TokenKind>(kind));
  }
  if (data.kind == VocabularyKind::spm) {
    for (size_t i = 0; i < count; ++i) {
      if (!std::isfinite(data.scores[i])) return error(Code::corrupt, "the score of token %zu is not a number", i);
    }
    scores_.assign(data.scores.begin(), data.scores.end());
  }
  return {};
}

Status Vocabulary::index_texts() {
  const size_t slots = std::bit_ceil(size() * 2);
  index_.assign(slots, 0);
  for (size_t i = 0; i < size(); ++i) {
    const std::string_view text = this->text(static_cast<TokenId>(i));
    if (text.empty()) continue;  // padding: no text ever becomes it
    const uint64_t hash = hash64(text);
    const uint64_t entry = (hash & 0xffffffff00000000U) | static_cast<uint64_t>(i + 1);
    size_t at = hash & (slots - 1);
    for (; index_[at] != 0; at = (at + 1) & (slots - 1)) {
      const auto other = static_cast<TokenId>((index_[at] & 0xffffffffU) - 1);
      if (this->text(other) == text) return error(Code::corrupt, "tokens %d and %zu are both %s", other, i, quoted(text).c_str());
    }
    index_[at] = entry;
  }
  return {};
}

Status Vocabulary::load_ids(const VocabularyData& data) {
  struct Named {
    const char* name;
    const std::optional<uint64_t>& from;
    std::optional<TokenId>& to;
  };
  for (const Named& id : {Named{"bos", data.bos, bos_}, Named{"eos", data.eos, eos_}, Named{"eot", data.eot, eot_},
                          Named{"eom", data.eom, eom_}, Named{"unknown", data.unk, unk_}, Named{"padding", data.pad, pad_}}) {
    if (!id.from) continue;
    if (*id.from >= size()) {
      return error(Code::corrupt, "the %s token is %llu, but there are %zu tokens", id.name, static_cast<unsigned long long>(*id.from),
                   size());
    }
    id.to = static_cast<TokenId>(*id.from);
  }
  if (data.add_bos && !bos_) return error(Code::corrupt, "a bos token is to be added, but none is named");
  if (data.add_eos && !eos_) return error(Code::corrupt, "an eos token is to be added, but none is named");
  add_bos_ = data.add_bos;
  add_eos_ = data.add_eos;
  add_space_prefix_ = data.kind == VocabularyKind::spm && data.add_space_prefix;
  for (const uint64_t id : data.strip_right) {
    if (id >= size())
      return error(Code::corrupt, "token %llu strips white space, but there are %zu", static_cast<unsigned long long>(id), size());
    strip_right_.push_back(static_cast<TokenId>(id));
  }
  std::sort(strip_right_.begin(), strip_right_.end());
  return {};
}

void Vocabulary::assign_roles(std::span<const ParsedMerge> merges) {
  std::vector<bool> everyday(size());  // a text that merges lead to is a word like others, whatever it looks like
  for (const ParsedMerge& merge : merges) everyday[static_cast<size_t>(merge.result)] = true;
  const auto mark_control = [&](TokenId id) { kinds_[static_cast<size_t>(id)] = TokenKind::control; };
  // "</s>" ends a text where "<s>" begins one; elsewhere (Gemma) it is HTML.
  const bool has_sentence_marks = bos_ && text(*bos_) == "<s>";
  bool call = false, other = false;
  for (size_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenRole role = token_role(text(id));
    if (role == TokenRole::none || (everyday[i] && kinds_[i] == TokenKind::normal) || (text(id) == "</s>" && !has_sentence_marks)) continue;
    mark_control(id);
    if (role == TokenRole::control) continue;
    end_ids_.push_back(id);
    if (role == TokenRole::end_of_turn && !eot_) eot_ = id;
    call |= text(id) == "<|call|>" || text(id) == "<|calls|>";
    other |= text(id) == "<|return|>" || text(id) == "<|flush|>";
  }
  // Where answers end with <|return|> or <|call|>, <|end|> stands between the messages of one answer.
  if (call && other) {
    std::erase_if(end_ids_, [&](TokenId id) { return text(id) == "<|end|>"; });
    if (eot_ && text(*eot_) == "<|end|>") eot_.reset();
  }
  for (const auto& id : {bos_, eos_, eot_, eom_}) {
    if (id && token_kind(*id) == TokenKind::user_defined) mark_control(*id);
  }
  for (const auto& id : {eos_, eot_, eom_}) {
    if (id) end_ids_.push_back(*id);
  }
  std::sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
}

Status Vocabulary::load_pieces() {
  const bool byte_level = recipe_ != nullptr && recipe_->byte_level;
  byte_tokens_.fill(-1);
  pieces_.reserve(texts_.size());
  piece_ends_.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view text = this->text(id);
    const TokenKind kind = kinds_[i];
    if (kind == TokenKind::byte) {
      const auto byte = byte_of(text);
      if (!byte) return error(Code::corrupt, "byte token %zu is %s, which is not of the form <0xNN>", i, quoted(text).c_str());
      pieces_.push_back(static_cast<char>(*byte));
      if (byte_tokens_[*byte] < 0) byte_tokens_[*byte] = id;
    } else if (kind == TokenKind::normal || kind == TokenKind::undefined) {
      if (!byte_level) {
        append_spm_text(pieces_, text);
      } else if (!append_alphabet_bytes(pieces_, text)) {
        pieces_.append(text);
      }
    } else {
      pieces_.append(text);
    }
    piece_ends_.push_back(static_cast<uint32_t>(pieces_.size()));
  }
  for (uint32_t b = 0; b < 256; ++b) {
    if (!byte_level && byte_tokens_[b] >= 0) continue;
    std::string text;
    if (byte_level) {
      utf8_append(text, byte_to_alphabet(static_cast<uint8_t>(b)));
    } else {
      text.push_back(static_cast<char>(b));  // a vocabulary of single characters has no <0xNN>
    }
    const auto token = find_plain(text);
    // DeepSeek has user-defined tokens "\u00ff" and others, which are those characters, not the bytes.
    byte_tokens_[b] = token && piece(*token) == std::string(1, static_cast<char>(b)) ? *token : -1;
  }
  return {};
}

Status Vocabulary::parse_merges(const VocabularyData& data, std::vector<ParsedMerge>& merges) const {
  constexpr size_t kMostMerges = size_t{1} << 26U;
  if (data.merges.size() > kMostMerges) return error(Code::corrupt, "%zu merges; at most %zu are allowed", data.merges.size(), kMostMerges);
  merges.reserve(data.merges.size());
  std::string joined;
  for (const std::string_view merge : data.merges) {
    const size_t space = merge.find(' ', 1);  // the left token may be a space, none contains one further on
    const bool split = space != std::string_view::npos && space + 1 < merge.size();
    const auto left = split ? find(merge.substr(0, space)) : std::nullopt;
    const auto right = split ? find(merge.substr(space + 1)) : std::nullopt;
    if (left && right) joined.assign(text(*left)).append(text(*right));
    const auto result = left && right ? find(joined) : std::nullopt;
    if (!result) return error(Code::corrupt, "merge %zu, %s, is not two tokens that make a third", merges.size(), quoted(merge).c_str());
    merges.push_back({*left, *right, *result});
  }
  return {};
}

bool Vocabulary::is_special(TokenId id) const {
  const TokenKind kind = token_kind(id);
  return kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::unused;
}

bool Vocabulary::is_end(TokenId id) const { return std::binary_search(end_ids_.begin(), end_ids_.end(), id); }

bool Vocabulary::strips_right(TokenId id) const { return std::binary_search(strip_right_.begin(), strip_right_.end(), id); }

std::optional<TokenId> Vocabulary::find(std::string_view wanted) const {
  if (wanted.empty()) return std::nullopt;
  const uint64_t hash = hash64(wanted);
  for (size_t at = hash & (index_.size() - 1); index_[at] != 0; at = (at + 1) & (index_.size() - 1)) {
    if ((index_[at] ^ hash) >> 32U != 0) continue;
    const auto id = static_cast<TokenId>((index_[at] & 0xffffffffU) - 1);
    if (text(id) == wanted) return id;
  }
  return std::nullopt;
}

std::optional<TokenId> Vocabulary::find_plain(std::string_view wanted) const {
  const auto id = find(wanted);
  return id && may_come_from_text(token_kind(*id)) ? id : std::nullopt;
}

std::optional<TokenId> Vocabulary::byte_token(uint8_t byte) const {
  return byte_tokens_[byte] < 0 ? std::nullopt : std::optional<TokenId>(byte_tokens_[byte]);
}

}  // namespace kl
