#include "text/detokenizer.h"

#include "text/tokenizer_utf8.h"

namespace kl {

Detokenizer::Detokenizer(std::shared_ptr<const Vocabulary> vocabulary, const Options& options)
    : vocabulary_(std::move(vocabulary)), options_(options), at_start_(options.text_start) {}

Status Detokenizer::push(TokenId id, std::string& out) {
  if (!vocabulary_->has(id)) return error(Code::invalid_argument, "token %d; the vocabulary has %zu", id, vocabulary_->size());
  if (vocabulary_->is_special(id)) {
    if (!options_.render_special) return {};
    // Its text stands between two texts, so it also ends a character that lacks bytes.
    if (!held_.empty()) out += kReplacement;
    held_.clear();
  }
  std::string_view piece = vocabulary_->piece(id);
  if (at_start_ && !piece.empty() && !vocabulary_->is_special(id)) {
    if (vocabulary_->add_space_prefix() && piece.front() == ' ') piece.remove_prefix(1);
    at_start_ = false;
  }
  held_ += piece;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Front front = utf8_front(rest);
    if (front.cut) break;
    out += front.valid ? rest.substr(0, front.length) : kReplacement;
    rest.remove_prefix(front.length);
  }
  held_.erase(0, held_.size() - rest.size());
  return {};
}

void Detokenizer::finish(std::string& out) {
  if (!held_.empty()) out += kReplacement;
  held_.clear();
  at_start_ = options_.text_start;
}

Result<std::string> detokenize(std::shared_ptr<const Vocabulary> vocabulary, std::span<const TokenId> ids,
                               const Detokenizer::Options& options) {
  std::string out;
  Detokenizer stream(std::move(vocabulary), options);
  for (const TokenId id : ids) KL_TRY(stream.push(id, out));
  stream.finish(out);
  return out;
}

}  // namespace kl
