#include "text/tokenizer_special.h"

#include <algorithm>

namespace kl {

void TrustMap::append(size_t length, bool trusted) {
  const size_t end = (stretches_.empty() ? 0 : stretches_.back().end) + length;
  if (!stretches_.empty() && stretches_.back().trusted == trusted) {
    stretches_.back().end = end;
  } else if (length > 0) {
    stretches_.push_back({end, trusted});
  }
}

bool TrustMap::trusted(size_t begin, size_t end) {
  while (stretches_[at_].end <= begin) ++at_;
  return stretches_[at_].trusted && end <= stretches_[at_].end;
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenKind kind = vocabulary.token_kind(id);
    const bool needs_trust = kind == TokenKind::control || kind == TokenKind::unknown;
    if ((needs_trust || kind == TokenKind::user_defined) && !vocabulary.text(id).empty())
      entries_.push_back({vocabulary.text(id), id, needs_trust});
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  size_t at = 0;
  for (uint32_t b = 0; b < 256; ++b) {
    first_byte_[b] = static_cast<uint32_t>(at);
    while (at < entries_.size() && static_cast<uint8_t>(entries_[at].text.front()) == b) ++at;
  }
  first_byte_[256] = static_cast<uint32_t>(at);
}

std::optional<SpecialTokens::Match> SpecialTokens::next(std::string_view text, size_t from, TrustMap& trust) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    const auto byte = static_cast<uint8_t>(text[begin]);
    auto low = entries_.begin() + first_byte_[byte];
    auto high = entries_.begin() + first_byte_[size_t{byte} + 1];
    std::optional<Match> best;
    // [low, high) are the entries that agree with the text so far; sorted, so the one that ends here comes first.
    for (size_t depth = 1; low != high; ++depth) {
      if (low->text.size() == depth) {
        if (!low->needs_trust || trust.trusted(begin, begin + depth)) best = Match{begin, begin + depth, low->token};
        ++low;
      }
      if (begin + depth == text.size()) break;
      const char wanted = text[begin + depth];
      const auto before = [&](const Entry& entry, char c) { return static_cast<uint8_t>(entry.text[depth]) < static_cast<uint8_t>(c); };
      low = std::lower_bound(low, high, wanted, before);
      high = std::partition_point(low, high, [&](const Entry& entry) { return entry.text[depth] == wanted; });
    }
    if (best) return best;
  }
  return std::nullopt;
}

}  // namespace kl
