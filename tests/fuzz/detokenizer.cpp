// Tokens of any bytes in any order: what streams out is valid UTF-8 at every moment, and the same as all at once (R23).
#include "text/detokenizer.h"

#include <utf8proc.h>

#include <string>
#include <vector>

#include "fuzz/fuzz.h"

namespace {

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (auto left = static_cast<utf8proc_ssize_t>(text.size()); left > 0;) {
    utf8proc_int32_t scalar = 0;
    const utf8proc_ssize_t bytes = utf8proc_iterate(at, left, &scalar);
    if (bytes <= 0) return false;
    at += bytes;
    left -= bytes;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fields fields({data, size});
  const uint8_t flags = fields.byte();
  std::vector<std::string_view> tokens;
  std::vector<int64_t> kinds;
  for (unsigned left = fields.byte(); left > 0 && !fields.empty(); --left) {
    kinds.push_back(fields.byte() % 8);
    tokens.push_back(fields.text());
  }
  const std::vector<float> scores(tokens.size(), 0);
  kl::VocabularyData vocabulary;
  vocabulary.kind = flags % 2 == 0 ? kl::VocabularyKind::spm : kl::VocabularyKind::bpe;
  vocabulary.pretokenizer = "gpt-2";
  vocabulary.add_space_prefix = (flags & 2) != 0;
  vocabulary.tokens = tokens;
  vocabulary.kinds = kinds;
  vocabulary.scores = scores;
  const auto made = kl::Vocabulary::create(vocabulary);
  if (!made.ok()) return 0;

  const kl::Detokenizer::Options options{.render_special = (flags & 4) != 0, .text_start = (flags & 8) != 0};
  kl::Detokenizer stream(*made, options);
  std::vector<kl::TokenId> ids;
  std::string all;
  for (const char c : fields.rest()) {
    const auto id = static_cast<kl::TokenId>(static_cast<unsigned char>(c));
    std::string piece;
    const kl::Status pushed = stream.push(id, piece);
    promise(pushed.ok() == (*made)->has(id));
    promise(is_utf8(piece) && stream.held_bytes() <= 3);
    if (pushed.ok()) ids.push_back(id);
    all += piece;
  }
  std::string end;
  stream.finish(end);
  promise(is_utf8(end) && stream.held_bytes() == 0);
  const auto whole = kl::detokenize(*made, ids, options);
  promise(whole.ok() && *whole == all + end);
  return 0;
}
