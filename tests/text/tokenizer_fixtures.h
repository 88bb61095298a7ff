// Vocabularies and files of the tokenizer tests.
#pragma once
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/vocabulary_from_gguf.h"
#include "text/tokenizer.h"

namespace kl::test {

inline std::string read_file(const std::string& name) {
  std::ifstream file(std::string(KL_TEST_DATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> split_at(std::string_view text, std::string_view separator) {
  std::vector<std::string> out;
  while (true) {
    const size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + separator.size());
  }
}

// What VocabularyData only views.
struct OwnedVocabulary {
  VocabularyData data;
  std::vector<std::string> texts, joins;
  std::vector<std::string_view> tokens, merges;
  std::vector<int64_t> kinds;
  std::vector<float> scores;

  Result<std::shared_ptr<const Vocabulary>> create() {
    tokens.assign(texts.begin(), texts.end());
    merges.assign(joins.begin(), joins.end());
    data.tokens = tokens;
    data.merges = merges;
    data.kinds = kinds;
    data.scores = scores;
    return Vocabulary::create(data);
  }
};

// A file of scripts/goldens/tokenizer_ids.py (write_bpe says how it is laid out).
inline OwnedVocabulary read_bpe(const std::string& name, std::string_view pretokenizer) {
  const std::string file = read_file("data/tokenizers/" + name + ".bpe");
  const size_t body = file.find("\n\n") + 2;
  OwnedVocabulary out;
  out.data.pretokenizer = pretokenizer;
  size_t next = 0;
  const auto number = [](std::string_view text) {
    size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const auto place = [&](size_t id, std::string text, int64_t kind) {
    if (id >= out.texts.size()) out.texts.resize(id + 1), out.kinds.resize(id + 1, 1);
    out.texts[id] = std::move(text);
    out.kinds[id] = kind;
  };
  for (const std::string& line : split_at(std::string_view(file).substr(0, body - 2), "\n")) {
    const size_t first = line.find(' ');
    if (line.starts_with("first_merge")) {
      next = number(std::string_view(line).substr(first + 1));
    } else {
      place(number(line), line.substr(first + 3), line[first + 1] - '0');
    }
  }
  const auto varint = [&](size_t& at) {
    size_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(file[at++]);
      value |= size_t{byte & 127U} << shift;
      if (byte < 128) return value;
    }
  };
  for (size_t at = body; at < file.size();) {
    const size_t left = varint(at), right = varint(at);
    out.joins.push_back(out.texts[left] + " " + out.texts[right]);
    place(next++, out.texts[left] + out.texts[right], 1);
  }
  return out;
}

inline std::shared_ptr<const Tokenizer> tokenizer_of(const Result<std::shared_ptr<const Vocabulary>>& vocabulary) {
  if (!vocabulary.ok()) {
    ADD_FAILURE() << vocabulary.status().message();
    return nullptr;
  }
  auto made = Tokenizer::create(*vocabulary);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? *made : nullptr;
}

// "falcon", "gpt-2", ... of data/tokenizer_vectors, "smollm2" and "qwen3" of data/tokenizers.
inline std::shared_ptr<const Tokenizer> load_tokenizer(const std::string& name) {
  if (name == "smollm2") return tokenizer_of(read_bpe(name, "smollm").create());
  if (name == "qwen3") return tokenizer_of(read_bpe(name, "qwen2").create());
  auto file = Gguf::open(std::string(KL_TEST_DATA) + "/data/tokenizer_vectors/ggml-vocab-" + name + ".gguf");
  if (!file.ok()) {
    ADD_FAILURE() << file.status().message();
    return nullptr;
  }
  return tokenizer_of(vocabulary_from_gguf((*file)->metadata()));
}

inline std::vector<TokenId> content_ids(const Tokenizer& tokenizer, std::string_view text) {
  auto ids = tokenizer.encode(text, false, {.add_special = false});
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : std::vector<TokenId>();
}

}  // namespace kl::test
