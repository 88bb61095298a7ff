// A vocabulary of the input's own, and a text for it: every id exists; and where each byte has a token, what was encoded comes back.
#include "text/tokenizer.h"

#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "text/detokenizer.h"

namespace {

constexpr const char* kPretokenizers[] = {"gpt-2", "llama-bpe", "qwen2", "smollm", "deepseek-llm", "falcon", "default", "no such"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fields fields({data, size});
  const uint8_t flags = fields.byte();
  kl::VocabularyData vocabulary;
  vocabulary.kind = flags % 2 == 0 ? kl::VocabularyKind::bpe : kl::VocabularyKind::spm;
  vocabulary.pretokenizer = kPretokenizers[flags / 2 % 8];
  vocabulary.add_space_prefix = (flags & 16) != 0;
  vocabulary.add_bos = (flags & 32) != 0;
  if ((flags & 64) != 0) vocabulary.bos = fields.byte();
  if ((flags & 128) != 0) vocabulary.eos = fields.byte();
  vocabulary.unk = 0;

  std::vector<std::string> byte_texts;
  std::vector<std::string_view> tokens, merges;
  std::vector<int64_t> kinds;
  std::vector<float> scores;
  if (const uint8_t bytes = fields.byte(); bytes != 0) {  // "<0xNN>" for all below it
    for (unsigned b = 0; b < bytes; ++b) {
      constexpr char digits[] = "0123456789ABCDEF";
      byte_texts.push_back(std::string("<0x") + digits[b / 16] + digits[b % 16] + ">");
    }
    for (const std::string& text : byte_texts) {
      tokens.push_back(text);
      kinds.push_back(static_cast<int64_t>(kl::TokenKind::byte));
      scores.push_back(0);
    }
  }
  for (unsigned left = fields.byte(); left > 0 && !fields.empty(); --left) {
    const uint8_t what = fields.byte();
    kinds.push_back(what % 8);
    scores.push_back(static_cast<float>(what / 8) - 16.0F);
    tokens.push_back(fields.text());
  }
  for (unsigned left = fields.byte(); left > 0 && !fields.empty(); --left) merges.push_back(fields.text());
  vocabulary.tokens = tokens;
  vocabulary.merges = merges;
  vocabulary.kinds = kinds;
  vocabulary.scores = scores;
  const auto made = kl::Vocabulary::create(vocabulary);
  if (!made.ok()) return 0;
  const auto tokenizer = kl::Tokenizer::create(*made);
  if (!tokenizer.ok()) return 0;

  const std::string_view trusted = fields.text(), text = fields.rest();
  const kl::TextPiece pieces[] = {{trusted, true}, {text, false}};
  const auto ids = (*tokenizer)->encode(pieces, {});
  if (!ids.ok()) return 0;
  for (const kl::TokenId id : *ids) promise((*made)->has(id));
  promise(kl::detokenize(*made, *ids, {}).ok());
  // Control tokens are the template's own: a text that nobody vouched for has none (R15).
  const auto plain = (*tokenizer)->encode(text, false, {.add_special = false});
  promise(plain.ok());
  for (const kl::TokenId id : *plain) promise((*made)->token_kind(id) != kl::TokenKind::control);
  return 0;
}
