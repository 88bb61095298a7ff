#include "text/tokenizer.h"

#include "core/checked.h"
#include "text/tokenizer_run.h"
#include "text/tokenizer_special.h"
#include "text/tokenizer_utf8.h"

namespace kl {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30U;  // places inside a text are 32 bits, and a space may become three bytes

class EncodingTokenizer final : public Tokenizer {
 public:
  EncodingTokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const RunEncoder> runs)
      : vocabulary_(std::move(vocabulary)), runs_(std::move(runs)), special_(*vocabulary_) {}

  const Vocabulary& vocabulary() const override { return *vocabulary_; }

  Result<std::vector<TokenId>> encode(std::span<const TextPiece> pieces, const Options& options) const override {
    size_t bytes = 0;
    for (const TextPiece& piece : pieces) {
      const auto sum = checked_add(bytes, piece.text.size());
      if (!sum || *sum > kMostBytes) return error(Code::invalid_argument, "a text of more than %zu bytes", kMostBytes);
      bytes = *sum;
    }
    TrustMap trust;
    std::string joined;
    std::string_view text;
    if (pieces.size() == 1) {
      text = pieces[0].text;
      trust.append(text.size(), pieces[0].trusted);
    } else {
      joined.reserve(bytes);
      for (const TextPiece& piece : pieces) {
        joined += piece.text;
        trust.append(piece.text.size(), piece.trusted);
      }
      text = joined;
    }
    return encode_text(text, trust, options);
  }

 private:
  Result<std::vector<TokenId>> encode_text(std::string_view text, TrustMap& trust, const Options& options) const {
    std::vector<TokenId> out;
    out.reserve(text.size() / 4 + 8);
    MergeScratch scratch;
    const bool add_bos = options.add_special && options.begins && vocabulary_->add_bos() && vocabulary_->bos();
    const bool add_eos = options.add_special && options.ends && vocabulary_->add_eos() && vocabulary_->eos();
    bool last_is_eos = false;
    size_t done = 0;
    while (true) {
      const auto match = special_.next(text, done, trust);
      const size_t run_end = match ? match->begin : text.size();
      if (add_bos && done == 0 && !(match && run_end == 0 && match->token == *vocabulary_->bos()) && out.empty())
        out.push_back(*vocabulary_->bos());
      if (run_end > done) {
        KL_TRY(runs_->encode(text.substr(done, run_end - done), scratch, out));
        last_is_eos = false;
      }
      if (!match) break;
      out.push_back(match->token);
      last_is_eos = vocabulary_->eos() == match->token;
      done = match->end;
      if (vocabulary_->strips_right(match->token)) {
        while (done < text.size() && std::string_view(" \t\n\v\f\r").find(text[done]) != std::string_view::npos) ++done;
      }
    }
    if (add_eos && !last_is_eos) out.push_back(*vocabulary_->eos());
    return out;
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const RunEncoder> runs_;
  SpecialTokens special_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(std::shared_ptr<const Vocabulary> vocabulary) {
  std::unique_ptr<const RunEncoder> runs;
  if (vocabulary->kind() == VocabularyKind::bpe) {
    KL_ASSIGN(runs, make_bpe_encoder(*vocabulary));
  } else {
    runs = make_spm_encoder(*vocabulary);
  }
  return std::shared_ptr<const Tokenizer>(std::make_shared<EncodingTokenizer>(std::move(vocabulary), std::move(runs)));
}

void append_byte(const Vocabulary& vocabulary, uint8_t byte, std::vector<TokenId>& out) {
  if (const auto token = vocabulary.byte_token(byte)) {
    out.push_back(*token);
  } else if (vocabulary.kind() == VocabularyKind::spm && vocabulary.unk() &&
             vocabulary.token_kind(*vocabulary.unk()) != TokenKind::control) {
    out.push_back(*vocabulary.unk());  // SmolLM2 (bpe) names its end of text as the unknown token: that must not come out of content
  }
}

void append_with_spm_spaces(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == ' ') {
      out += kSpmSpace;
    } else {
      out.push_back(c);
    }
  }
}

}  // namespace kl
