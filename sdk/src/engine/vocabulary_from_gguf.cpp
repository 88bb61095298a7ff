#include "engine/vocabulary_from_gguf.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "core/quote.h"

namespace kl {
namespace {

constexpr uint64_t kNoLimit = UINT32_MAX;  // Vocabulary::create holds ids to the number of tokens

Result<std::optional<uint64_t>> id_of(const Metadata& metadata, std::string_view name) {
  return metadata.find_uint("tokenizer.ggml." + std::string(name) + "_token_id", 0, kNoLimit);
}

// Phi-3's tokens but for four swallow the white space behind them. The file does not say so; llama.cpp goes by the model's name as well.
Result<std::vector<uint64_t>> strip_right_ids(const Metadata& metadata, std::span<const std::string_view> tokens,
                                              std::span<const int64_t> kinds) {
  KL_ASSIGN(const auto name, metadata.find_string("general.name"));
  std::string lower(name.value_or(""));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::vector<uint64_t> ids;
  if (lower.find("phi-3") == std::string::npos && lower.find("phi3") == std::string::npos) return ids;
  for (size_t i = 0; i < std::min(tokens.size(), kinds.size()); ++i) {
    const bool special = kinds[i] == static_cast<int64_t>(TokenKind::control) || kinds[i] == static_cast<int64_t>(TokenKind::user_defined);
    if (special && tokens[i] != "<unk>" && tokens[i] != "<s>" && tokens[i] != "<|endoftext|>") ids.push_back(i);
  }
  return ids;
}

}  // namespace

Result<std::shared_ptr<const Vocabulary>> vocabulary_from_gguf(const Metadata& metadata) {
  KL_ASSIGN(const std::string_view model, metadata.need_string("tokenizer.ggml.model"));
  VocabularyData data;
  if (model == "llama") {
    data.kind = VocabularyKind::spm;
  } else if (model == "gpt2" || model == "gemma4") {
    data.kind = VocabularyKind::bpe;
  } else {
    return error(Code::unsupported, "tokenizer.ggml.model is %s; llama, gpt2 and gemma4 are supported", quoted(model).c_str());
  }
  KL_ASSIGN(const auto pre, metadata.find_string("tokenizer.ggml.pre"));
  data.pretokenizer = model == "gemma4" ? "gemma4" : pre.value_or("default");
  const PretokenizerRecipe* recipe = data.kind == VocabularyKind::bpe ? find_pretokenizer(data.pretokenizer) : nullptr;

  KL_ASSIGN(data.tokens, metadata.find_strings("tokenizer.ggml.tokens"));
  KL_ASSIGN(data.scores, metadata.find_floats("tokenizer.ggml.scores"));
  KL_ASSIGN(data.kinds, metadata.find_ints("tokenizer.ggml.token_type"));
  KL_ASSIGN(data.merges, metadata.find_strings("tokenizer.ggml.merges"));
  KL_ASSIGN(data.bos, id_of(metadata, "bos"));
  KL_ASSIGN(data.eos, id_of(metadata, "eos"));
  KL_ASSIGN(data.eot, id_of(metadata, "eot"));
  KL_ASSIGN(data.eom, id_of(metadata, "eom"));
  KL_ASSIGN(data.unk, id_of(metadata, "unknown"));
  KL_ASSIGN(data.pad, id_of(metadata, "padding"));
  if (data.kind == VocabularyKind::spm) {
    // Files of this kind may leave out the ids that SentencePiece always gives: 0 unknown, 1 begin, 2 end.
    const auto conventional = [&](std::optional<uint64_t>& id, uint64_t value) {
      if (!id && value < data.tokens.size()) id = value;
    };
    conventional(data.unk, 0);
    conventional(data.bos, 1);
    conventional(data.eos, 2);
  }
  KL_ASSIGN(const auto add_bos, metadata.find_bool("tokenizer.ggml.add_bos_token"));
  KL_ASSIGN(const auto add_eos, metadata.find_bool("tokenizer.ggml.add_eos_token"));
  KL_ASSIGN(const auto add_space, metadata.find_bool("tokenizer.ggml.add_space_prefix"));
  const bool adds_by_kind = data.kind == VocabularyKind::spm || (recipe != nullptr && recipe->add_bos);
  // Gemma 4's early files say false, and the model needs it.
  data.add_bos = data.pretokenizer == "gemma4" || add_bos.value_or(adds_by_kind && data.bos.has_value());
  data.add_eos = add_eos.value_or(false);
  data.add_space_prefix = add_space.value_or(data.kind == VocabularyKind::spm);
  KL_ASSIGN(const auto trims, metadata.find_bool("tokenizer.ggml.remove_extra_whitespaces"));
  if (data.kind == VocabularyKind::spm && trims.value_or(false)) {
    return error(Code::unsupported, "tokenizer.ggml.remove_extra_whitespaces is set; this library keeps white space");
  }
  KL_ASSIGN(const auto strip_right, strip_right_ids(metadata, data.tokens, data.kinds));
  data.strip_right = strip_right;
  auto made = Vocabulary::create(data);
  if (!made.ok()) return made.status().at("tokenizer.ggml");
  return made;
}

}  // namespace kl
