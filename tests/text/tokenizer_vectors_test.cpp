// Ids against those of other tokenizers: llama.cpp's vectors (made with Hugging Face's), and hashes of the ids that Hugging Face's
// tokenizers and SentencePiece give for every Unicode scalar value, for files and for a million random texts.
#include <cstdlib>
#include <sstream>

#include "text/detokenizer.h"
#include "tokenizer_fixtures.h"
#include "tokenizer_texts.h"

namespace kl::test {
namespace {

std::vector<std::string> vector_inputs() {
  auto inputs = split_at(read_file("data/tokenizer_vectors/vectors.inp"), "\n__ggml_vocab_test__\n");
  inputs.pop_back();  // nothing follows the last separator
  return inputs;
}

std::vector<TokenId> ids_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<TokenId> ids;
  for (TokenId id = 0; in >> id;) ids.push_back(id);
  return ids;
}

std::string without_dashes(std::string name) {
  std::erase(name, '-');
  return name;
}

struct VectorCase {
  const char* ids;         // ggml-vocab-<ids>.gguf.out
  const char* vocabulary;  // see load_tokenizer
};

class TokenizerVectors : public testing::TestWithParam<VectorCase> {};

TEST_P(TokenizerVectors, IdsAreTheOnesOfTheFileAndTextComesBack) {
  const auto tokenizer = load_tokenizer(GetParam().vocabulary);
  ASSERT_NE(tokenizer, nullptr);
  const auto inputs = vector_inputs();
  const auto lines = split_at(read_file(std::string("data/tokenizer_vectors/ggml-vocab-") + GetParam().ids + ".gguf.out"), "\n");
  ASSERT_EQ(inputs.size(), 46U);
  ASSERT_GE(lines.size(), inputs.size());
  const std::shared_ptr<const Vocabulary> vocabulary(tokenizer, &tokenizer->vocabulary());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto ids = content_ids(*tokenizer, inputs[i]);
    EXPECT_EQ(ids, ids_of(lines[i])) << "text " << i << ": " << inputs[i];
    const auto text = detokenize(vocabulary, ids, {});
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(*text, inputs[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerVectors,
                         testing::Values(VectorCase{"gpt-2", "gpt-2"}, VectorCase{"falcon", "falcon"},
                                         VectorCase{"deepseek-llm", "deepseek-llm"}, VectorCase{"llama-spm", "llama-spm"},
                                         VectorCase{"phi-3", "phi-3"}, VectorCase{"qwen2", "qwen3"}),
                         [](const auto& parameter) { return without_dashes(parameter.param.ids); });

class TokenizerGoldens : public testing::TestWithParam<const char*> {
 protected:
  // The expected hashes of the lines that begin with `kind`: index or name, then one or two hashes.
  struct Line {
    std::string key;
    std::vector<uint64_t> hashes;
  };
  static std::vector<Line> lines(const std::string& kind) {
    std::vector<Line> out;
    for (const std::string& text : split_at(read_file(std::string("golden/tokenizers/") + GetParam() + ".txt"), "\n")) {
      std::istringstream in(text);
      std::string word;
      Line line;
      if (!(in >> word >> line.key) || word != kind) continue;
      while (in >> word) line.hashes.push_back(std::stoull(word, nullptr, 16));
      out.push_back(line);
    }
    return out;
  }
  template <class Texts>
  uint64_t hash(const Texts& texts) const {
    IdsHash out;
    for (const auto& text : texts) out.add(content_ids(*tokenizer_, text));
    return out.value();
  }
  void SetUp() override {
    tokenizer_ = load_tokenizer(GetParam());
    ASSERT_NE(tokenizer_, nullptr);
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(TokenizerGoldens, FilesWholeAndByLineHaveTheGoldenIds) {
  const auto expected = lines("file");
  ASSERT_EQ(expected.size(), 3U);
  for (const Line& line : expected) {
    const std::string text = read_file("data/tokenizers/" + line.key);
    EXPECT_EQ(hash(std::vector<std::string>{text}), line.hashes.at(0)) << line.key;
    EXPECT_EQ(hash(split_at(text, "\n")), line.hashes.at(1)) << line.key << ", by line";
  }
}

TEST_P(TokenizerGoldens, RunsOfOneCharacterHaveTheGoldenIds) {
  const std::string_view runs[] = {" ", "\n", "\t", "a", "0", "!", "\u3000", "\u4e00"};
  const auto expected = lines("run");
  ASSERT_EQ(expected.size(), std::size(runs));
  for (size_t i = 0; i < expected.size(); ++i) {
    std::vector<std::string> texts;
    std::string run;
    for (int n = 1; n <= 300; ++n) {
      run += runs[i];
      texts.push_back(run);
      texts.push_back("x" + run + "y");
    }
    EXPECT_EQ(hash(texts), expected[i].hashes.at(0)) << "runs of " << runs[i];
  }
}

TEST_P(TokenizerGoldens, EveryUnicodeScalarValueAloneAndBetweenLettersHasTheGoldenIds) {
  const auto expected = lines("scalars");
  ASSERT_EQ(expected.size(), 272U);
  size_t count = 0;
  for (const Line& line : expected) {
    const auto first = static_cast<uint32_t>(std::stoul(line.key));
    IdsHash alone, between;
    for (uint32_t c = first; c < first + 4096; ++c) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      std::string text;
      utf8_append(text, static_cast<char32_t>(c));
      alone.add(content_ids(*tokenizer_, text));
      between.add(content_ids(*tokenizer_, "a" + text + "b"));
      ++count;
    }
    EXPECT_EQ(alone.value(), line.hashes.at(0)) << "a character from " << first;
    EXPECT_EQ(between.value(), line.hashes.at(1)) << "between letters, from " << first;
  }
  EXPECT_EQ(count, 1112064U);
}

// A thousand texts each; with KINGLET_TEST_FULL set all thousand blocks, otherwise every twentieth.
TEST_P(TokenizerGoldens, RandomTextsHaveTheGoldenIds) {
  const auto expected = lines("random");
  ASSERT_EQ(expected.size(), 1000U);
  const size_t step = std::getenv("KINGLET_TEST_FULL") != nullptr ? 1 : 20;
  for (size_t block = 0; block < expected.size(); block += step) {
    SplitMix random(block);
    IdsHash out;
    for (int i = 0; i < 1000; ++i) out.add(content_ids(*tokenizer_, random_text(random)));
    EXPECT_EQ(out.value(), expected[block].hashes.at(0)) << "block " << block;
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerGoldens, testing::Values("smollm2", "qwen3", "llama-spm"),
                         [](const auto& parameter) { return without_dashes(parameter.param); });

}  // namespace
}  // namespace kl::test
